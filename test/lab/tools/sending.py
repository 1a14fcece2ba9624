"""What the attackers share: how they send."""
import time


def sender(s):
    """Returns what sends by a scapy socket."""

    def send(*frames, rounds=10, more=190):
        """Sends the frames ten times a second; tells after `rounds` times, and goes on for `more`."""
        print("ready", flush=True)
        for i in range(rounds + more):
            for frame in frames:
                s.send(frame)
            if i + 1 == rounds:
                print("sent", rounds * len(frames), flush=True)
            time.sleep(0.1)

    return send
