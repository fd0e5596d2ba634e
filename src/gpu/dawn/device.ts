// SPDX-License-Identifier: Apache-2.0
/**
 * Opens Dawn's device with everything the adapter offers, and says what it is.
 *
 * The object that `create()` returns must stay reachable for the life of the process: Dawn's
 * binding aborts some thousand launches after it was collected. Hence the module-level variable.
 */
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { create } from "webgpu";
import { ExecutorError, type ExecutorInfo } from "../executor.js";

const gpuThreads = new Set<number>();

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxUniformBuffersPerShaderStage",
  "maxDynamicUniformBuffersPerPipelineLayout",
  "maxBindingsPerBindGroup",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
] as const;

const WANTED_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];

const SEGMENT_ALIGN = 256;
/** The offset half of a device pointer has 32 bits. */
const SEGMENT_BYTES_MAX = 2 ** 32 - SEGMENT_ALIGN;

let gpuKeptAlive: GPU | null = null;

/** The process's one Dawn instance. `backend` as Dawn names it, for example "vulkan". */
export function openGpu(backend: string): GPU {
  gpuKeptAlive ??= create([
    `backend=${backend}`,
    "enable-dawn-features=disable_blob_cache",
    "disable-dawn-features=timestamp_quantization",
  ]);
  return gpuKeptAlive;
}

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly info: ExecutorInfo;
  /** Whether the GPU's memory is the host's: a software driver, or one without memory of its own. */
  readonly hostMemory: boolean;
  /** The threads of a software GPU: some outlive a device, and work for the next one. */
  readonly threads: ReadonlySet<number>;
}

/** Rejects with an ExecutorError "no-adapter" that says what to install. */
export async function openDevice(
  gpu: GPU,
  adapterName: string | undefined,
  timestamps = true,
): Promise<OpenDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new ExecutorError(
      "no-adapter",
      "no usable Vulkan driver: install the vendor's, or mesa-vulkan-drivers 24 or newer " +
        "(lavapipe); VK_DRIVER_FILES can name a driver's JSON file",
    );
  }
  const name = adapterText(adapter.info);
  if (adapterName !== undefined && !name.toLowerCase().includes(adapterName.toLowerCase())) {
    throw new ExecutorError(
      "no-adapter",
      `the adapter is "${name}", not "${adapterName}" as asked`,
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const limit of WANTED_LIMITS) {
    const value = adapter.limits[limit];
    if (value !== undefined) {
      requiredLimits[limit] = value;
    }
  }
  const requiredFeatures = WANTED_FEATURES.filter(
    (feature) => adapter.features.has(feature) && (timestamps || feature !== "timestamp-query"),
  );
  const hostMemory = adapter.info.isFallbackAdapter || /llvmpipe|swiftshader/i.test(name);
  // A software GPU's threads are started with the first device, before the promise is there.
  const before = new Set(hostMemory ? ownThreads() : []);
  const promise = adapter.requestDevice({ requiredLimits, requiredFeatures });
  for (const thread of hostMemory ? ownThreads() : [])
    if (!before.has(thread)) gpuThreads.add(thread);
  const device = await promise;
  const info = describe(adapter, device, name);
  // A software GPU runs a workgroup on each core; others do not say how many they run.
  return {
    device,
    info: hostMemory ? { ...info, groupsAtOnce: availableParallelism() } : info,
    hostMemory,
    threads: gpuThreads,
  };
}

/** The threads of this process; none where the system does not tell. */
function ownThreads(): number[] {
  try {
    return readdirSync("/proc/self/task").map(Number);
  } catch {
    return [];
  }
}

function adapterText(info: GPUAdapterInfo): string {
  for (const text of [info.description, info.device, info.vendor]) {
    if (text !== "") {
      return text;
    }
  }
  return "unnamed adapter";
}

function describe(adapter: GPUAdapter, device: GPUDevice, name: string): ExecutorInfo {
  const limits = device.limits;
  const segment = Math.min(
    limits.maxStorageBufferBindingSize,
    limits.maxBufferSize,
    SEGMENT_BYTES_MAX,
  );
  const info = adapter.info as GPUAdapterInfo & { readonly subgroupMinSize?: number };
  return {
    adapter: name,
    vendorId: vendorId(adapter.info.vendor),
    backend: "vulkan",
    segmentBytesMax: Math.floor(segment / SEGMENT_ALIGN) * SEGMENT_ALIGN,
    gridMax: limits.maxComputeWorkgroupsPerDimension,
    blockMax: [
      limits.maxComputeWorkgroupSizeX,
      limits.maxComputeWorkgroupSizeY,
      limits.maxComputeWorkgroupSizeZ,
    ],
    blockThreadsMax: limits.maxComputeInvocationsPerWorkgroup,
    sharedBytesMax: limits.maxComputeWorkgroupStorageSize,
    storageBindingsMax: limits.maxStorageBuffersPerShaderStage,
    uniformBindingsMax: Math.min(
      limits.maxUniformBuffersPerShaderStage,
      limits.maxDynamicUniformBuffersPerPipelineLayout,
    ),
    storageOffsetAlign: Math.max(SEGMENT_ALIGN, limits.minStorageBufferOffsetAlignment),
    uniformOffsetAlign: limits.minUniformBufferOffsetAlignment,
    uniformBytesMax: Math.min(limits.maxUniformBufferBindingSize, 65536),
    subgroupSize: info.subgroupMinSize ?? 0,
    f16: device.features.has("shader-f16"),
    subgroups: device.features.has("subgroups"),
    timestamps: device.features.has("timestamp-query"),
  };
}

const VENDOR_IDS: Readonly<Record<string, number>> = {
  nvidia: 0x10de,
  amd: 0x1002,
  intel: 0x8086,
  mesa: 0x10005,
  google: 0x1ae0,
};

/** Dawn gives the vendor's name or its PCI id in hexadecimal; 0 if it is neither. */
function vendorId(vendor: string): number {
  const known = VENDOR_IDS[vendor.toLowerCase()];
  if (known !== undefined) {
    return known;
  }
  const parsed = Number.parseInt(vendor, 16);
  return Number.isInteger(parsed) && parsed >= 0 && parsed <= 0xffffffff ? parsed : 0;
}
