// SPDX-License-Identifier: Apache-2.0
@id(7) override bx: u32;
override by: u32 = 4;
@group(0) @binding(0) var<storage, read_write> voxels: array<u32>;
struct Input {
  @builtin(global_invocation_id) gid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
}

@compute @workgroup_size(bx, by, 2)
fn main(in: Input, @builtin(workgroup_id) wid: vec3<u32>) {
  let size = in.groups * vec3u(bx, by, 2u);
  let i = (in.gid.z * size.y + in.gid.y) * size.x + in.gid.x;
  if (i < arrayLength(&voxels)) { voxels[i] += wid.x * 100u + in.lid.y * 10u + in.groups.y; }
}
