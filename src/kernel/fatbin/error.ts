// SPDX-License-Identifier: Apache-2.0
/** What is wrong with a fat binary, for people. The bytes come from a hostile guest. */

export class FatbinError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "FatbinError";
  }
}
