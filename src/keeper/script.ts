/**
 * The keeper's program. It holds what must still act once softnet has dropped its privileges, and does nothing else: a
 * shell needs 5 ms and 1 MB for that, and whatever softnet may become, there is little in it to be talked into.
 *
 *   keeper ─┬─ writer ──pipe──▶ nft -i      the rules' table lives as long as this nft
 *           └─ waits for both
 *
 * Input is softnet's pipe: a line that says what `accept_redirects` was ("-": forwarding is not to be put back), a line
 * of rules. Of the lines after that two mean something. "set" with one word for each of the table's sets changes what is
 * in them, all at once; a word may have digits, dots, dashes and commas, and the writer makes nft's commands of it: no
 * other table, no file, no other command can be named. A last "goodbye" says that the TAP is gone already. The end of
 * input says that softnet has ended, however it did. Then the writer waits until the TAP is gone, puts IP forwarding
 * back and ends, and with it nft, and with it the table.
 *
 * Output is what nft said, a line beginning with ANSWERED once it is through with the rules or with a change that it
 * took; at the end, "ended".
 *
 * A VM has two keepers, with a table each (networks/nat/rules.ts and gate.ts). Whichever process of one is killed,
 * softnet is told at once: the keeper by its end, nft by "ended". If its table has gone with that, the other one still
 * stands, and no frame leaves without it, until softnet has stopped. The writer, when the keeper is killed, goes on until
 * then; when the writer is killed, the keeper puts forwarding back.
 */

/** The value of a TAP's setting `tag` that says: forwarding is needed. */
export const NEED = "1";

/** A command that needs no kernel, behind the others: its answer says that nft took them. */
const QUESTION = "describe meta nfproto";
export const ANSWERED = "meta expression";
export const ENDED = "ended";
/** What softnet says last when its TAP is gone already. */
export const GOODBYE = "goodbye";
/** Begins the line that changes the sets. */
export const CHANGE = "set";
/** The word for a set without elements. */
const EMPTY = "-";

/**
 * For `sh -c`: $1 is nft, $2 the TAP, $3 the table (`inet NAME`), $4 the names of its sets, with blanks between. (What
 * `read` answers of a kernel setting means nothing: a shell that reads byte by byte finds the end behind the first one.)
 */
export const KEEPER_SCRIPT = `
exec 2>/dev/null
last=
nft=$1 tap=$2 table=$3 sets=$4
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
  patience=50
  while [ "$last" != ${GOODBYE} ] && [ -e "$ipv4/conf/$tap" ] && [ $patience -gt 0 ]; do
    sleep 0.02
    patience=$((patience - 1))
  done
  [ "$redirects" = - ] && return
  needed && return
  echo 0 >"$ipv4/ip_forward"
  echo "$redirects" >"$ipv4/conf/all/accept_redirects"
  if needed; then echo 1 >"$ipv4/ip_forward"; fi
}

change() {
  case $1 in
  *[!0-9.,' '-]*) return ;;
  esac
  set -- $1
  commands=
  for name in $sets; do
    [ $# -gt 0 ] || return
    commands="\${commands}flush set $table $name; "
    [ "$1" = ${EMPTY} ] || commands="\${commands}add element $table $name { $1 }; "
    shift
  done
  printf '%s\\n' "\${commands}${QUESTION}"
}

{
  printf '%s\\n' "$rules; ${QUESTION}"
  while IFS= read -r line; do
    last=$line
    case $line in
    '${CHANGE} '*) change "\${line#${CHANGE} }" ;;
    esac
  done
  put_back
} | {
  "$nft" -i 2>&1
  echo ${ENDED}
}
put_back
`;
