import { InMemoryLRUCache } from '@apollo/utils.keyvaluecache';
import type { DocumentNode } from 'graphql';

/** For all documents together, in bytes. A hundred operations of a typical frontend take a few hundred thousand. */
const maxBytes = 16 * 1024 * 1024;

// Memory use of V8 on a 64-bit machine, measured on Node 20 and rounded up.
const bytesOfEntry = 1_000;
const bytesOfObject = 64;
const bytesOfList = 48;
const bytesOfProperty = 8;
const bytesOfString = 24;

/**
 * Caches valid documents. Apollo Server calls `set` right before it first executes a document, and then executes the same object. So every
 * execution uses a document that `set` has detached from its text.
 */
export class DocumentStore extends InMemoryLRUCache<DocumentNode> {
  constructor() {
    super({ maxSize: maxBytes });
  }

  override set(key: string, document: DocumentNode): Promise<void> {
    // Missing in its types, but it passes the size on.
    const options = { size: detach(document) } as object;
    return super.set(key, document, options);
  }
}

/**
 * Detaches a document from its text, which uses more memory than everything else. Removes the locations, which reference every token, and
 * copies the strings, which V8 keeps as slices of the text. Without locations, errors during execution, of which there can be thousands,
 * also spend no time finding their line in the text.
 *
 * @returns the remaining size in bytes
 */
export function detach(document: DocumentNode): number {
  let bytes = bytesOfEntry;
  // No recursion: values can be nested as deeply as the token limit allows.
  const left: Record<string, unknown>[] = [document as unknown as Record<string, unknown>];
  for (let node = left.pop(); node; node = left.pop()) {
    bytes += Array.isArray(node) ? bytesOfList : bytesOfObject;
    for (const [key, value] of Object.entries(node)) {
      bytes += bytesOfProperty;
      if (key === 'loc') {
        // `delete` would turn the compact object into a dictionary.
        node[key] = undefined;
      } else if (typeof value === 'string' && key !== 'kind') {
        bytes += bytesOfString + value.length;
        node[key] = copyOf(value);
      } else if (typeof value === 'object' && value !== null) {
        // The parser's arrays have spare capacity.
        const inner = Array.isArray(value) ? value.slice() : value;
        node[key] = inner;
        left.push(inner as Record<string, unknown>);
      }
    }
  }
  return bytes;
}

/** The parser rejects lone surrogates, so every string survives a round trip through UTF-8. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
