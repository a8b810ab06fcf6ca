import { InMemoryLRUCache } from '@apollo/utils.keyvaluecache';
import type { DocumentNode } from 'graphql';

/** Of all documents together, in bytes. A hundred operations of a frontend take a few hundred thousand. */
const maxBytes = 16 * 1024 * 1024;

// What V8 needs on a 64-bit machine, measured on Node 20 and rounded up.
const bytesOfEntry = 1_000;
const bytesOfObject = 64;
const bytesOfList = 48;
const bytesOfProperty = 8;
const bytesOfString = 24;

/**
 * The documents that were parsed and found valid. Apollo Server calls `set` right before it executes one for the first time, and then
 * executes what was set here: so no execution sees the text of its document.
 */
export class DocumentStore extends InMemoryLRUCache<DocumentNode> {
  constructor() {
    super({ maxSize: maxBytes });
  }

  override set(key: string, document: DocumentNode): Promise<void> {
    // Its types know nothing of the size, which it hands on.
    const options = { size: detach(document) } as object;
    return super.set(key, document, options);
  }
}

/**
 * Frees a document of its text, which weighs more than all the rest: of the locations, which hold on to every token; and of strings
 * that V8 keeps as slices of the text. Without locations, an error of the execution takes no time to find its line in the text, of
 * which there can be thousands.
 *
 * @returns how many bytes it weighs then
 */
export function detach(document: DocumentNode): number {
  let bytes = bytesOfEntry;
  // No recursion: values can be nested as deep as there are tokens.
  const left: Record<string, unknown>[] = [document as unknown as Record<string, unknown>];
  for (let node = left.pop(); node; node = left.pop()) {
    bytes += Array.isArray(node) ? bytesOfList : bytesOfObject;
    for (const [key, value] of Object.entries(node)) {
      bytes += bytesOfProperty;
      if (key === 'loc') {
        // Not deleted: that would turn a compact object into a dictionary.
        node[key] = undefined;
      } else if (typeof value === 'string' && key !== 'kind') {
        bytes += bytesOfString + value.length;
        node[key] = copyOf(value);
      } else if (typeof value === 'object' && value !== null) {
        // The parser's lists have room for more.
        const inner = Array.isArray(value) ? value.slice() : value;
        node[key] = inner;
        left.push(inner as Record<string, unknown>);
      }
    }
  }
  return bytes;
}

/** The parser accepts no lone surrogates, so every string survives UTF-8. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
