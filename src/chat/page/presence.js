// The members of the room. Lists and changes contain the revision of the room's names. An
// early change is kept until the changes before it have arrived; a change that the list
// already contains is ignored. docs/chat-protocol.md explains why.

const EARLY_CHANGES_MAX = 4096;

export class Presence {
  /** @param {(change: {type: string, name: string}) => void} changed Called for each change, in order. */
  constructor(changed) {
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.names = new Set();
    this.count = 0;
    this.revision = null;
    this.early = new Map();
  }

  /** A `welcome` or `names` message. Returns whether it is newer than the known names. */
  list({ names, count, revision }) {
    if (this.revision !== null && this.revision >= revision) return false;
    this.names = new Set(names);
    this.count = count;
    this.revision = revision;
    for (const early of this.early.keys()) if (early <= revision) this.early.delete(early);
    this.#catchUp();
    return true;
  }

  /** A `joined` or `left` message. */
  change(message) {
    if (this.revision !== null && message.revision <= this.revision) return;
    if (this.early.size < EARLY_CHANGES_MAX) this.early.set(message.revision, message);
    if (this.revision !== null) this.#catchUp();
  }

  #catchUp() {
    let change;
    while ((change = this.early.get(this.revision + 1))) {
      this.revision += 1;
      this.early.delete(this.revision);
      this.count += change.type === "joined" ? 1 : -1;
      if (change.type === "joined") this.names.add(change.name);
      else this.names.delete(change.name);
      this.changed(change);
    }
  }
}
