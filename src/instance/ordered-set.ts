// SPDX-License-Identifier: Apache-2.0
/**
 * An ordered set of objects by a pair of numbers: insert, remove, floor and ceiling in O(log n).
 * A treap: the shape depends on random priorities only, so a guest that chooses sizes and order of
 * its allocations can't make it deep. Used for device memory: free ranges by (bytes, offset),
 * allocations by offset.
 */

interface Node<T> {
  readonly major: number;
  readonly minor: number;
  readonly priority: number;
  readonly value: T;
  left: Node<T> | null;
  right: Node<T> | null;
}

export class OrderedSet<T> {
  #root: Node<T> | null = null;
  #size = 0;
  #random: number;

  /** `seed` should be unknown to guests; zero is replaced. */
  constructor(seed: number) {
    this.#random = seed >>> 0 || 0x9e3779b9;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a value; the key must not be in the set. */
  insert(major: number, minor: number, value: T): void {
    const node = { major, minor, priority: this.#next(), value, left: null, right: null };
    this.#root = insertNode(this.#root, node);
    this.#size++;
  }

  /** Removes the value with exactly this key; false if there is none. */
  remove(major: number, minor: number): boolean {
    let parent: Node<T> | null = null;
    let node = this.#root;
    while (node !== null && (node.major !== major || node.minor !== minor)) {
      parent = node;
      node = isBefore(major, minor, node) ? node.left : node.right;
    }
    if (node === null) return false;
    const merged = mergeNodes(node.left, node.right);
    if (parent === null) this.#root = merged;
    else if (parent.left === node) parent.left = merged;
    else parent.right = merged;
    this.#size--;
    return true;
  }

  /** The least value whose key is not below the given one. */
  ceiling(major: number, minor: number): T | null {
    let best: Node<T> | null = null;
    let node = this.#root;
    while (node !== null) {
      if (node.major < major || (node.major === major && node.minor < minor)) {
        node = node.right;
      } else {
        best = node;
        node = node.left;
      }
    }
    return best === null ? null : best.value;
  }

  /** The greatest value whose key is not above the given one. */
  floor(major: number, minor: number): T | null {
    let best: Node<T> | null = null;
    let node = this.#root;
    while (node !== null) {
      if (isBefore(major, minor, node)) {
        node = node.left;
      } else {
        best = node;
        node = node.right;
      }
    }
    return best === null ? null : best.value;
  }

  /** Calls back for each value in order. */
  forEach(visit: (value: T) => void): void {
    const path: Node<T>[] = [];
    let node = this.#root;
    while (node !== null || path.length > 0) {
      while (node !== null) {
        path.push(node);
        node = node.left;
      }
      const next = path.pop();
      if (next === undefined) return;
      visit(next.value);
      node = next.right;
    }
  }

  /** xorshift32: cheap, and good enough for priorities. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x >>> 0;
    return this.#random;
  }
}

function isBefore<T>(major: number, minor: number, node: Node<T>): boolean {
  return major < node.major || (major === node.major && minor < node.minor);
}

function insertNode<T>(root: Node<T> | null, added: Node<T>): Node<T> {
  let parent: Node<T> | null = null;
  let left = false;
  let node = root;
  while (node !== null && node.priority >= added.priority) {
    parent = node;
    left = isBefore(added.major, added.minor, node);
    node = left ? node.left : node.right;
  }
  splitNode(node, added);
  if (parent === null || root === null) return added;
  if (left) parent.left = added;
  else parent.right = added;
  return root;
}

/** Hangs the parts of `node` before and after the key of `added` below it. */
function splitNode<T>(node: Node<T> | null, added: Node<T>): void {
  let rest = node;
  let before: Node<T> | null = null;
  let after: Node<T> | null = null;
  while (rest !== null) {
    if (isBefore(added.major, added.minor, rest)) {
      if (after === null) added.right = rest;
      else after.left = rest;
      after = rest;
      rest = rest.left;
    } else {
      if (before === null) added.left = rest;
      else before.right = rest;
      before = rest;
      rest = rest.right;
    }
  }
  if (before !== null) before.right = null;
  if (after !== null) after.left = null;
}

/** Joins two trees of which the first is wholly before the second. */
function mergeNodes<T>(first: Node<T> | null, second: Node<T> | null): Node<T> | null {
  let left = first;
  let right = second;
  let root: Node<T> | null = null;
  let parent: Node<T> | null = null;
  let onLeft = false;
  while (left !== null && right !== null) {
    const takeLeft: boolean = left.priority >= right.priority;
    const node: Node<T> = takeLeft ? left : right;
    if (parent === null) root = node;
    else if (onLeft) parent.left = node;
    else parent.right = node;
    parent = node;
    if (takeLeft) {
      onLeft = false;
      left = node.right;
    } else {
      onLeft = true;
      right = node.left;
    }
  }
  const rest: Node<T> | null = left ?? right;
  if (parent === null) return rest;
  if (onLeft) parent.left = rest;
  else parent.right = rest;
  return root;
}
