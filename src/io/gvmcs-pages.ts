// SPDX-License-Identifier: Apache-2.0
//
// The memory of a G-VMCS: two memory files whose size is sealed. The broker makes and maps both,
// then seals the controls page against any further writable mapping, and passes the descriptors to
// the instance: the process that works for a hostile guest can read its weight, and not set it.

import type { SharedPage } from "../gvmcs/page.js";
import {
  addSeals,
  close,
  fence,
  fstatSize,
  getSeals,
  type Mapping,
  mapRegion,
  memfdCreate,
  RingWords,
  Seals,
} from "./native.js";

/** A mapped page and its descriptor, which belongs to the caller until `close`. */
export interface GvmcsPage extends SharedPage {
  readonly fd: number;
  /** Unmaps the page, and closes the descriptor. */
  close(): void;
}

const SIZE_SEALS = Seals.shrink | Seals.grow;

function mapPage(fd: number, bytes: number, readonly: boolean): GvmcsPage {
  const mapping: Mapping = mapRegion(fd, 0, bytes, { readonly });
  const window = new Uint8Array(mapping.window(0, bytes));
  return {
    fd,
    bytes: window,
    words: new RingWords(window),
    fence,
    close: () => {
      mapping.unmap();
      close(fd);
    },
  };
}

/** The broker's pages for one instance, zeroed. */
export function createGvmcsPages(
  id: string,
  bytes: number,
): { readonly controls: GvmcsPage; readonly state: GvmcsPage } {
  const controls = mapPage(memfdCreate(`gvmcs-controls-${id}`, bytes, { seals: 0 }), bytes, false);
  // Our own mapping stays writable; nobody gets another one.
  addSeals(controls.fd, SIZE_SEALS | Seals.futureWrite | Seals.seal);
  const stateFd = memfdCreate(`gvmcs-state-${id}`, bytes, { seals: SIZE_SEALS | Seals.seal });
  return { controls, state: mapPage(stateFd, bytes, true) };
}

/** The instance's view of the descriptors that it got. Throws if they are not sealed as they must. */
export function openGvmcsPages(
  fds: { readonly controls: number; readonly state: number },
  bytes: number,
): { readonly controls: GvmcsPage; readonly state: GvmcsPage } {
  for (const [name, fd] of Object.entries(fds)) {
    const size = fstatSize(fd);
    if (size !== bytes || (getSeals(fd) & SIZE_SEALS) !== SIZE_SEALS) {
      throw new Error(
        `the ${name} page has ${size} bytes or no seals; it is ${bytes} sealed bytes`,
      );
    }
  }
  return {
    controls: mapPage(fds.controls, bytes, true),
    state: mapPage(fds.state, bytes, false),
  };
}
