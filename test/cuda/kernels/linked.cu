// SPDX-License-Identifier: Apache-2.0
// Structures with pointers, hash tables, graphs.

struct Node {
  int value;
  Node *next;
};

extern "C" __global__ void list_sum(Node *const *heads, int *sums, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int sum = 0;
  for (Node *p = heads[i]; p; p = p->next) sum += p->value;
  sums[i] = sum;
}

// Builds lists by exchanging heads: the order is free, the members are not.
extern "C" __global__ void list_push(Node *nodes, unsigned long long *heads, const int *bucket,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  nodes[i].value = i;
  nodes[i].next = (Node *)atomicExch(&heads[bucket[i]], (unsigned long long)&nodes[i]);
}

extern "C" __global__ void hash_insert(const int *keys, int *table, int slots, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int key = keys[i];
  unsigned at = ((unsigned)key * 2654435761u) % slots;
  for (;;) {
    int old = atomicCAS(&table[at], -1, key);
    if (old == -1 || old == key) break;
    at = (at + 1) % slots;
  }
}

extern "C" __global__ void hash_find(const int *keys, const int *table, int *found, int slots,
                                     int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned at = ((unsigned)keys[i] * 2654435761u) % slots;
  while (table[at] != -1 && table[at] != keys[i]) at = (at + 1) % slots;
  found[i] = table[at] == keys[i];
}

struct Tree {
  float key;
  int left, right, value;
};

extern "C" __global__ void tree_search(const Tree *tree, const float *keys, int *values, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int at = 0, found = -1;
  while (at >= 0) {
    Tree node = tree[at];
    if (node.key == keys[i]) {
      found = node.value;
      break;
    }
    at = keys[i] < node.key ? node.left : node.right;
  }
  values[i] = found;
}

extern "C" __global__ void pointer_jump(const int *from, int *to, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from[from[i]];
}

extern "C" __global__ void bfs_step(const int *rows, const int *edges, int *depth, int *changed,
                                    int level, int n) {
  int v = blockIdx.x * blockDim.x + threadIdx.x;
  if (v >= n || depth[v] != level) return;
  for (int e = rows[v]; e < rows[v + 1]; e++) {
    if (atomicCAS(&depth[edges[e]], -1, level + 1) == -1) *changed = 1;
  }
}

extern "C" __global__ void spmv(const int *rows, const int *cols, const float *values,
                                const float *x, float *y, int n) {
  int r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= n) return;
  float sum = 0;
  for (int e = rows[r]; e < rows[r + 1]; e++) sum += values[e] * x[cols[e]];
  y[r] = sum;
}
