import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A file tree in a temporary folder, gone when the running test ends; objects become JSON. */
export function fixture(files: Record<string, string | object>): string {
  const root = mkdtempSync(join(tmpdir(), 'evenkeel-checks-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries({ 'package.json': {}, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return root;
}

/** The package.json of a fixture package. */
export function manifest(name: string, tag: string, rest: object = {}): object {
  return { name: `@x/${name}`, version: '0.0.0', exports: { '.': {}, './package.json': './package.json' }, nx: { tags: [tag] }, ...rest };
}
