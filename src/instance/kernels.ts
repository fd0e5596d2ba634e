// SPDX-License-Identifier: Apache-2.0
/**
 * Modules and functions of one context. Handles are the guest's; what stands behind them (checked
 * code, compiled pipelines) is shared by the contexts of the instance: see kernel-store.ts.
 *
 * An object is *declared* when the submit that creates it is admitted, and exists when the command
 * was executed. A command of another stream that names a declared object waits for it; one that
 * names nothing fails. Only creations admitted earlier count, so that nothing waits for itself.
 */
import type { DeviceCommand } from "../command/types.js";
import { ObjectState, Status } from "../protocol/generated/wire.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import type { Entry, ModuleCode } from "./kernel-code.js";
import type { KernelStore } from "./kernel-store.js";
import type { InstanceLimits } from "./limits.js";
import type { Job } from "./streams.js";
import type { PlacedVariables } from "./variables.js";

export interface Module {
  readonly handle: number;
  readonly codeBytes: number;
  /** Null if it was refused before it was looked at. */
  code: ModuleCode | null;
  state: ObjectState;
  status: Status;
  log: string;
  /** The job whose command loads it, until its code was checked. */
  loader: Job | null;
  /** PTX: its variables, once they have their place in the context's memory. */
  variables: PlacedVariables | null;
  readonly functions: Set<KernelFunction>;
}

export interface KernelFunction {
  readonly handle: number;
  readonly name: string;
  readonly module: Module | null;
  readonly state: ObjectState;
  readonly status: Status;
  /** Why it failed, for the launch that names it. */
  readonly text: string;
  readonly entry: Entry | null;
}

type ObjectKind = "module" | "function";

export class KernelTable {
  readonly #modules = new Map<number, Module>();
  readonly #functions = new Map<number, KernelFunction>();
  /** Admission numbers of creations that are queued, by handle. */
  readonly #declared = {
    module: new Map<number, number[]>(),
    function: new Map<number, number[]>(),
  };
  readonly #store: KernelStore;
  readonly #limits: InstanceLimits;

  constructor(store: KernelStore, limits: InstanceLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  get moduleCount(): number {
    return this.#modules.size;
  }

  get functionCount(): number {
    return this.#functions.size;
  }

  /** Modules with code, and its bytes. */
  get loadedModules(): number {
    let count = 0;
    for (const { code } of this.#modules.values()) if (code !== null) count++;
    return count;
  }

  get codeBytes(): number {
    let bytes = 0;
    for (const each of this.#modules.values()) if (each.code !== null) bytes += each.codeBytes;
    return bytes;
  }

  module(handle: number): Module | undefined {
    return this.#modules.get(handle);
  }

  function(handle: number): KernelFunction | undefined {
    return this.#functions.get(handle);
  }

  /** Declares what these commands create. */
  declareAll(commands: readonly DeviceCommand[], admission: number): void {
    for (const command of commands) {
      if (command.kind === "moduleLoad") this.declare("module", command.module, admission);
      else if (command.kind === "functionCreate")
        this.declare("function", command.function, admission);
    }
  }

  declare(kind: ObjectKind, handle: number, admission: number): void {
    const list = this.#declared[kind].get(handle);
    if (list === undefined) this.#declared[kind].set(handle, [admission]);
    else list.push(admission);
  }

  /** The creation was executed, or dropped. */
  undeclare(kind: ObjectKind, handle: number, admission: number): void {
    const list = this.#declared[kind].get(handle);
    if (list === undefined) return;
    const index = list.indexOf(admission);
    if (index >= 0) list.splice(index, 1);
    if (list.length === 0) this.#declared[kind].delete(handle);
  }

  /** Whether a creation that was admitted before is still queued. */
  isDeclared(kind: ObjectKind, handle: number, admission: number): boolean {
    const list = this.#declared[kind].get(handle);
    return list?.some((each) => each < admission) ?? false;
  }

  /** State for a query: a declared object is not ready yet. */
  absentState(kind: ObjectKind, handle: number): ObjectState {
    return this.#declared[kind].has(handle) ? ObjectState.PENDING : ObjectState.ABSENT;
  }

  /** Null if the handle can be used for a new object. */
  checkNew(kind: ObjectKind, handle: number): Failure | null {
    const max = kind === "module" ? this.#limits.modulesMax : this.#limits.functionsMax;
    if (handle >= max) {
      const text = `${kind} handle ${handle} is asked for, handles are below ${max}`;
      return failure(Status.HANDLE_LIMIT, text, handle, max, handle);
    }
    const exists = kind === "module" ? this.#modules.has(handle) : this.#functions.has(handle);
    if (exists)
      return failure(Status.HANDLE_EXISTS, `${kind} ${handle} exists already`, handle, 0, handle);
    const { functionsTotalMax } = this.#limits;
    if (kind === "module" || this.#store.functions < functionsTotalMax) return null;
    const text = `${this.#store.functions} functions exist, the limit of all contexts`;
    return failure(Status.QUOTA, text, this.#store.functions, functionsTotalMax, handle);
  }

  /** Enters a module whose code is being checked, or was refused (`refused`). */
  addModule(
    handle: number,
    codeBytes: number,
    code: ModuleCode | null,
    refused: Failure | null,
  ): Module {
    const module: Module = {
      handle,
      codeBytes,
      code,
      state: refused === null ? ObjectState.PENDING : ObjectState.FAILED,
      status: refused === null ? Status.OK : refused.status,
      log: refused === null ? "" : refused.text,
      loader: null,
      variables: null,
      functions: new Set(),
    };
    this.#modules.set(handle, module);
    return module;
  }

  /** Takes over the result of the check. */
  moduleChecked(module: Module): void {
    const { code } = module;
    if (code === null) return;
    module.state = code.valid ? ObjectState.READY : ObjectState.FAILED;
    module.status = code.status;
    module.log = code.log;
  }

  /** Its variables have no place: the code is right, but the module can't be used. */
  moduleRefused(module: Module, why: Failure): void {
    this.#dropModule(module);
    module.state = ObjectState.FAILED;
    module.status = why.status;
    module.log = why.text;
  }

  unloadModule(handle: number): Failure | null {
    const module = this.#modules.get(handle);
    if (module === undefined) return unknownHandle("module", handle);
    this.#modules.delete(handle);
    for (const each of module.functions) this.#functions.delete(each.handle);
    this.#store.functions -= module.functions.size;
    this.#dropModule(module);
    return null;
  }

  /** Looks the entry point up; a failure is kept in the function. The module is not PENDING. */
  addFunction(handle: number, moduleHandle: number, name: string): KernelFunction {
    const module = this.#modules.get(moduleHandle) ?? null;
    const found = lookUp(module, moduleHandle, name);
    const failed = "status" in found;
    if (failed && found.status === Status.NOT_SUPPORTED) this.#note(module, found.text);
    const added: KernelFunction = {
      handle,
      name,
      module,
      state: failed ? ObjectState.FAILED : ObjectState.READY,
      status: failed ? found.status : Status.OK,
      text: failed ? found.text : "",
      entry: failed ? null : found,
    };
    this.#functions.set(handle, added);
    this.#store.functions++;
    module?.functions.add(added);
    return added;
  }

  /** What a kernel lacks is told by the module's log: functions have none. */
  #note(module: Module | null, text: string): void {
    if (module === null || module.log.includes(text)) return;
    if (3 * (module.log.length + text.length + 1) <= this.#limits.logBytesMax)
      module.log += `${text}\n`;
  }

  destroyFunction(handle: number): Failure | null {
    const found = this.#functions.get(handle);
    if (found === undefined) return unknownHandle("function", handle);
    this.#functions.delete(handle);
    this.#store.functions--;
    found.module?.functions.delete(found);
    return null;
  }

  clear(): void {
    for (const module of this.#modules.values()) this.#dropModule(module);
    this.#store.functions -= this.#functions.size;
    this.#modules.clear();
    this.#functions.clear();
    this.#declared.module.clear();
    this.#declared.function.clear();
  }

  #dropModule(module: Module): void {
    module.variables?.free();
    if (module.code !== null) this.#store.release(module.code, module.codeBytes);
    module.code = null;
  }
}

function lookUp(module: Module | null, handle: number, name: string): Entry | Failure {
  if (module === null) return unknownHandle("module", handle);
  if (module.code === null || !module.code.valid) {
    const status = module.status === Status.OK ? Status.MODULE_INVALID : module.status;
    return failure(status, `module ${handle} has failed, it has no function ${name}`, 0, 0, handle);
  }
  return module.code.entry(name);
}
