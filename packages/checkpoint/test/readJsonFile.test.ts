import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { readJsonFile } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from './helpers.ts';

describe('readJsonFile', () => {
  it('readJsonFile(path) gives the value in the file', async () => {
    const path = join(temporaryDirectory(), 'config.json');
    writeFileSync(path, '{ "n_layer": 2, "name": "é" }\n');
    expect(await readJsonFile(path)).toEqual({ n_layer: 2, name: 'é' });
  });

  it.each(['', '{"a":\n\n', '{"a":1}\n{"b":2}', '\0\0'])('readJsonFile of %j throws one line that names the path', async (content) => {
    const path = join(temporaryDirectory(), 'config.json');
    writeFileSync(path, content);
    const error = await readJsonFile(path).then(() => undefined, (thrown: Error) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error?.message).toMatch(new RegExp(`^readJsonFile: ${path} must be JSON, got: [^\n]+$`));
  });

  it('readJsonFile of a missing file or a directory says so', async () => {
    const directory = temporaryDirectory();
    await expect(readJsonFile(join(directory, 'none.json'))).rejects.toThrow('none.json must be a readable file, got no such file or directory (ENOENT)');
    await expect(readJsonFile(directory)).rejects.toThrow('must be a file, got a directory');
  });
});
