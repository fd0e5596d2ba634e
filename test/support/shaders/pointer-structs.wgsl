// SPDX-License-Identifier: Apache-2.0
struct Node { key: u32, next: i32, payload: vec4<f32> }
struct Header { root: u32, nodes: array<Node, 8> }
@group(0) @binding(0) var<storage, read_write> header: Header;
@group(0) @binding(1) var<storage, read_write> nodes: array<Node>;

fn visit(node: ptr<storage, Node, read_write>, weight: f32) -> u32 {
  let payload = &(*node).payload;
  *payload = *payload * weight;
  (*payload).z = weight;
  payload.x += 1.0;
  node.next += 1;
  return node.key;
}

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < 8u) {
    let key = visit(&header.nodes[id.x], 2.0);
    if (id.x == 3u) { header.root = key; }
  }
  if (id.x < arrayLength(&nodes)) {
    let node = &nodes[id.x];
    let again: ptr<storage, Node, read_write> = node;
    _ = visit(again, 0.5);
  }
}
