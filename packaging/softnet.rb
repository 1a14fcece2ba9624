# The formula of a Homebrew tap. `npm run package -- all --archive` writes a copy with the version and the sums filled in
# (build/softnet.rb); the archives themselves belong under RELEASES.
class Softnet < Formula
  desc "Software networking with isolation for virtual machines"
  homepage "HOMEPAGE"
  version "VERSION"
  license "MIT"

  depends_on macos: :ventura

  on_arm do
    url "RELEASES/softnet-VERSION-darwin-arm64.tar.gz"
    sha256 "SHA256-darwin-arm64"
  end
  on_intel do
    url "RELEASES/softnet-VERSION-darwin-x64.tar.gz"
    sha256 "SHA256-darwin-x64"
  end

  def install
    bin.install "softnet"
    prefix.install "LICENSE", "THIRD-PARTY-NOTICES", "softnet.entitlements"
  end

  def caveats
    <<~EOS
      softnet needs root to set a network up, and gives it up before the first frame passes. Tart asks once whether it
      may set the SUID bit. Without Tart, either do what Tart does (again after each upgrade):

        sudo chown root #{opt_bin.realpath}/softnet && sudo chmod u+s #{opt_bin.realpath}/softnet

      or let yourself start it through sudo without a password, with a line that visudo writes:

        #{ENV["USER"]} ALL=(root) NOPASSWD: #{opt_bin}/softnet

      Whoever can write #{HOMEBREW_PREFIX} can replace what that line starts. To keep root's programs where only root
      writes, install softnet in /usr/local/bin, owned by root, instead.
    EOS
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/softnet --version")
    system bin/"softnet", "--sudo-escalation-probing"
    assert_match "BLOB", shell_output("otool -l #{bin}/softnet")
  end
end
