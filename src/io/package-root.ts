// SPDX-License-Identifier: Apache-2.0
/** Where this package lies: two levels above src/io, and above dist/programs, where bundles are. */
export const packageRoot = new URL("../../", import.meta.url);
