// SPDX-License-Identifier: Apache-2.0
/**
 * WGSL kernels: reflection, binding plans and rewriting. Pure functions of their input, with no
 * dependency on a GPU.
 *
 *   module load:      const module = reflectModule(source)
 *   function create:  const entry = findEntry(module, name)
 *   launch:           const plan = planLaunch(entry, arguments, limits)
 *                     pipeline cache by (entry, plan.key, block); on a miss:
 *                     const kernel = rewriteKernel(entry, plan.key)
 */

export * from "./error.js";
export { WgslError } from "./error.js";
export { checkLength } from "./parse.js";
export type {
  LaunchArgument,
  LaunchPlan,
  PlanLimits,
  PlannedRange,
  PointerArgument,
  ShapeBinding,
  ValueArgument,
} from "./plan.js";
export { COPY_UNIT, planLaunch, shapeOfKey } from "./plan.js";
export type {
  BlockDimension,
  EntryInfo,
  ModuleInfo,
  OverrideInfo,
  ResourceInfo,
} from "./reflect.js";
export { findEntry, reflectModule } from "./reflect.js";
export type { RewriteOptions, RewrittenBinding, RewrittenKernel } from "./rewrite.js";
export { rewriteKernel } from "./rewrite.js";
export type { SliceLayout } from "./slice.js";
export { SLICE_LAYOUT, whyUnsliceable } from "./slice.js";
