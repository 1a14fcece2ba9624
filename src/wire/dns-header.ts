/**
 * The header of a DNS message (RFC 1035 4.1.1), the numbers of its fields, and what can be wrong with a message: a closed
 * list of numbers, of which the first that is found counts.
 */

/** Bytes. */
export const DNS_HEADER = 12;

/** Fields of the header, from its first byte. Counts: questions, answers, authority, additional. */
export const DNS_FIELDS = { id: 0, flags: 2, questions: 4, answers: 6, authorities: 8, additionals: 10 } as const;

/** Flags, all in one field of 16 bits: a response; its code is in the last four. */
export const DNS_RESPONSE = 0x8000;
export const DNS_OPCODE_BITS = 0x7800;
export const DNS_TRUNCATED = 0x0200;
export const DNS_RECURSION_DESIRED = 0x0100;
export const DNS_RECURSION_AVAILABLE = 0x0080;
/** RFC 4035 3.2.2. */
export const DNS_CHECKING_DISABLED = 0x0010;
export const DNS_RCODE_BITS = 0x000f;

export const RCODE_NO_ERROR = 0;
export const RCODE_NAME_ERROR = 3;

export const CLASS_IN = 1;

/** Types of records and questions. */
export const RECORD_A = 1;
export const RECORD_CNAME = 5;
export const RECORD_SOA = 6;
export const RECORD_AAAA = 28;
/** RFC 6672. */
export const RECORD_DNAME = 39;
/** RFC 6891: no record, but what a sender can do. */
export const RECORD_OPT = 41;
/** RFC 9460. */
export const RECORD_SVCB = 64;
export const RECORD_HTTPS = 65;

export const DNS_SOUND = 0;
/** Shorter than its header, or than what its header counts. */
export const DNS_SHORT = 1;
/** A response in place of a question, or the other way round. */
export const DNS_DIRECTION = 2;
/** An opcode other than QUERY. */
export const DNS_OPCODE = 3;
/** Not exactly one question; in a question, records other than one additional. */
export const DNS_COUNTS = 4;
/** A name that is cut short or too long, a label of an unknown kind, or a pointer that does not go backwards. */
export const DNS_NAME = 5;
/** In a question, an additional record that is not EDNS (RFC 6891 6.1.2), or is cut short. */
export const DNS_ADDITIONAL = 6;
/** In a question, bytes behind the end. */
export const DNS_TRAILING = 7;
/** A class other than IN. */
export const DNS_CLASS = 8;
/** In a response, the record of an address has the wrong length. */
export const DNS_ADDRESS = 9;
/** In a response, more than 8 aliases one behind the other, or an alias that makes the name too long. */
export const DNS_ALIASES = 10;
