// SPDX-License-Identifier: Apache-2.0
/**
 * A time limit on another process that is silent. Seconds in which this process itself was stopped
 * do not count: then the other was, too.
 */
export class Patience {
  private silent = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(seconds: number, late: () => void) {
    this.timer = setInterval(() => {
      this.silent += 1;
      if (this.silent === seconds) late();
    }, 1000);
  }

  /** It has said something. */
  heard(): void {
    this.silent = 0;
  }

  end(): void {
    clearInterval(this.timer);
  }
}
