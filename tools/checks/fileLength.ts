import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot, sourceFiles, workspacePackages } from './workspace.ts';

/** Lines beyond which a file is almost certainly two files. */
export const FILE_LIMIT = 400;

/** fileLengths — every source and test file with its number of lines, longest first. */
export function fileLengths(root = repositoryRoot): { file: string; lines: number }[] {
  return workspacePackages(root)
    .flatMap(({ dir }) => ['src', 'test', 'bench', 'assembly', '.'].flatMap((folder) => (folder === '.' && !dir.startsWith('tools/') ? []
      : sourceFiles(root, dir, folder).filter((file) => folder !== '.' || !/^\.\/(src|test)\//.test(file)).map((file) => join(dir, file)))))
    .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1 }))
    .sort((a, b) => b.lines - a.lines);
}

/** checkFileLength — one sentence per file that is too long. */
export function checkFileLength(root = repositoryRoot): string[] {
  return fileLengths(root).filter(({ lines }) => lines > FILE_LIMIT).map(({ file, lines }) => `${file}: ${lines} lines, at most ${FILE_LIMIT}; split it`);
}
