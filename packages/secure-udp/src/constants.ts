/** What both sides of an association rely on (PROTOCOL.md). */

/** A node keeps what it offered in a TAKE for so long… */
export const TAKE_KEPT_MS = 5_000;
/** …and a client takes an offer only if it answers something sent this recently. */
export const TAKE_ACCEPTED_MS = 3_000;
/** Epochs of one association at one node. */
export const EPOCHS_MAX = 4;
/** An epoch without a valid record for so long is dropped, at both sides. */
export const EPOCH_IDLE_MS = 60_000;
/** After so many records, or so long, a client asks for another epoch. */
export const REKEY_RECORDS = 2 ** 24;
export const REKEY_MS = 3_600_000;
/** While records arrive, their receipts are no further apart, and no closer… */
export const RECEIPT_SPACING_MS = 10;
/** …except that so many records get one at once: its bitmap must reach back to all of them. */
export const RECEIPT_RECORDS = 256;
/** While none arrive, an owner lets the client hear something so often… */
export const BEAT_MS = 250;
/** …until there was no payload, either way, for so long. Then PROBEs of the client are enough. */
export const BEAT_AFTER_PAYLOAD_MS = 10_000;
/** A client makes sure so often that an epoch is still there, if nothing else shows it. */
export const STANDBY_PROBE_MS = 15_000;
/** Who stood still for longer forgets its epochs: its memory may be a copy's (a snapshot). */
export const STOOD_STILL_MS = 3_000;
/** Who holds epochs looks at the clock so often: standing still shows before anything is sent. */
export const TICK_MS = 1_000;
