import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { sourceFiles } from './workspace.ts';

/** importCycles — circles of imports between the files of a package's src/, type imports included; one sentence each. */
export function importCycles(root: string, dir: string): string[] {
  const files = new Set(sourceFiles(root, dir));
  const graph = new Map([...files].map((file) => [file, localImports(join(root, dir, file), file).filter((target) => files.has(target))]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push(`${dir}/${file}: files import each other in a circle: ${[...path.slice(start), file].join(' → ')}`);
    if (start >= 0 || done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return found;
}

function localImports(path: string, file: string): string[] {
  return ts.preProcessFile(readFileSync(path, 'utf8'), true, true).importedFiles
    .filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName }) => join(file, '..', fileName).replaceAll('\\', '/'));
}
