/**
 * What changes from one run of a training step to the next: read while the step runs, and read again whenever a backend
 * replays the step without running its JavaScript.
 */

/** StepNumber — a number that a replayed step reads anew. In arithmetic it is the number of this run, and no longer live. */
export class StepNumber {
  readonly read: () => number;

  constructor(read: () => number) {
    this.read = read;
  }

  valueOf(): number {
    return this.read();
  }

  toString(): string {
    return String(this.read());
  }
}
