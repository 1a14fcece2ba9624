/**
 * The keeper's program. It holds what must still act once softnet has dropped its privileges, and does nothing else: a
 * shell needs 5 ms and 1 MB for that, and whatever softnet may become, there is nothing in it to be talked into.
 *
 *   keeper ─┬─ writer ──pipe──▶ nft -i      the rules' table lives as long as this nft
 *           └─ waits for both
 *
 * Input is softnet's pipe: a line that says what `accept_redirects` was ("-": forwarding is not to be put back), a line
 * of rules. What comes after means nothing, but for a last "goodbye": the TAP is gone, there is no waiting for that. The
 * end of input says that softnet has ended, however it did. Then the writer puts IP forwarding back and ends, and with it nft, and with it the table.
 *
 * Output is what nft said, then a line beginning with ANSWERED; at the end, "ended".
 *
 * Whichever process is killed, softnet is told at once: the keeper by its end, nft by "ended". The writer, when the
 * keeper is killed, goes on until softnet has stopped, so that no frame leaves without the rules; when the writer is
 * killed, the keeper puts forwarding back.
 */

/** The value of a TAP's setting `tag` that says: forwarding is needed. */
export const NEED = "1";

/** A command that needs no kernel, behind the rules: its answer says that nft is through with them. */
const QUESTION = "describe meta nfproto";
export const ANSWERED = "meta expression";
export const ENDED = "ended";
/** What softnet says last when its TAP is gone already. */
export const GOODBYE = "goodbye";

/**
 * For `sh -c`: $1 is nft, $2 the TAP. (What `read` answers of a kernel setting means nothing: a shell that reads byte by
 * byte finds the end behind the first one.)
 */
export const KEEPER_SCRIPT = `
exec 2>/dev/null
last=
nft=$1 tap=$2
ipv4=/proc/sys/net/ipv4
IFS= read -r redirects && IFS= read -r rules || exit 1

needed() {
  for tag in "$ipv4"/conf/softnet*/tag; do
    value=
    { read -r value <"$tag"; } 2>/dev/null
    [ "$value" = ${NEED} ] && return 0
  done
  return 1
}

put_back() {
  [ "$redirects" = - ] && return
  patience=50
  while [ "$last" != ${GOODBYE} ] && [ -e "$ipv4/conf/$tap" ] && [ $patience -gt 0 ]; do
    sleep 0.02
    patience=$((patience - 1))
  done
  needed && return
  echo 0 >"$ipv4/ip_forward"
  echo "$redirects" >"$ipv4/conf/all/accept_redirects"
  if needed; then echo 1 >"$ipv4/ip_forward"; fi
}

{
  printf '%s\\n' "$rules" '${QUESTION}'
  while IFS= read -r word; do last=$word; done
  put_back
} | {
  "$nft" -i 2>&1
  echo ${ENDED}
}
put_back
`;
