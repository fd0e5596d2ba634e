// SPDX-License-Identifier: Apache-2.0
/**
 * An encoder for the next batch, made while the GPU works on this one: whoever waits for a short launch
 * sends the next one when it ends, and making an encoder and opening its pass takes as long as encoding
 * the launch itself.
 */
export interface OpenEncoder {
  readonly encoder: GPUCommandEncoder;
  /** Open, without timestamps; null if none is. */
  readonly pass: GPUComputePassEncoder | null;
}

export class SpareEncoder {
  readonly #device: GPUDevice;
  #spare: OpenEncoder | null = null;
  /** The last encoder that was taken began with a compute pass: the next one is expected to. */
  #withPass = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** To be called while there is nothing to do but to wait. */
  prepare(): void {
    this.#spare ??= this.#make();
  }

  /** For what begins with a compute pass, or with a copy: then a pass that is open has to be ended first. */
  take(withPass: boolean): OpenEncoder {
    const spare = this.#spare;
    this.#spare = null;
    this.#withPass = withPass;
    return spare ?? { encoder: this.#device.createCommandEncoder(), pass: null };
  }

  #make(): OpenEncoder {
    const encoder = this.#device.createCommandEncoder();
    return { encoder, pass: this.#withPass ? encoder.beginComputePass() : null };
  }
}
