// SPDX-License-Identifier: Apache-2.0
/**
 * Places times of the GPU's clock on the host's. The two begin anywhere and may drift, but a batch's
 * work lies between its submission and the notice of its end, which both are times of the host:
 *
 *   host   submitted ────────[ first … last ]──────── noticed
 *   GPU                       first … last        offset = host − GPU
 *
 *   submitted − first  ≤  offset  ≤  noticed − last
 *
 * The offset stays as it is while it fits, so that times of different batches differ by what the
 * GPU's clock says, and else moves to the nearest end. Where both clocks are one (software GPUs) it
 * stays 0.
 */
export class GpuClock {
  #offsetNs = 0;
  #lastNs = 0;

  /**
   * `ticksNs`, ascending and none of them 0, on the host's clock: within the bounds, never before a
   * time that was given earlier.
   */
  place(ticksNs: readonly number[], submittedNs: number, noticedNs: number): number[] {
    const first = ticksNs[0];
    const last = ticksNs.at(-1);
    if (first === undefined || last === undefined) return [];
    const least = submittedNs - first;
    const most = Math.max(least, noticedNs - last);
    this.#offsetNs = Math.min(Math.max(this.#offsetNs, least), most);
    return ticksNs.map((tick) => {
      const at = Math.min(Math.max(tick + this.#offsetNs, submittedNs), noticedNs);
      this.#lastNs = Math.max(this.#lastNs, at);
      return this.#lastNs;
    });
  }
}
