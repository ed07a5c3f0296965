import { execFile } from 'node:child_process';
import { mkdirSync, openAsBlob, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError } from '@evenkeel/core-tensor';
import { atomicWriteFile, openSafetensors, parseSafetensors, readSafetensors, serializeSafetensors, writeCheckpoint, writeSafetensors } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { everyDtype, f32, rawFile, temporaryDirectory } from './helpers.ts';

const twoTensors = { a: f32([2], 1, -2), b: { dtype: 'U8' as const, shape: [3], data: Uint8Array.of(1, 2, 3) } };

describe('writeSafetensors', () => {
  it('writeSafetensors(path) then readSafetensors(path) gives every dtype back, with format pt and the metadata', async () => {
    const path = join(temporaryDirectory(), 'model.safetensors');
    await writeSafetensors(path, everyDtype, { metadata: { step: '3' } });
    const { tensors, metadata } = await readSafetensors(path);
    expect({ ...metadata }).toEqual({ format: 'pt', step: '3' });
    expect({ ...tensors }).toEqual(everyDtype);
    expect(Buffer.compare(readFileSync(path), serializeSafetensors(tensors, { metadata }))).toBe(0);
  });

  it('writeSafetensors(path) replaces a file and leaves no other file behind', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'model.safetensors');
    await writeSafetensors(path, { a: f32([1], 1) });
    await writeSafetensors(path, { a: f32([1], 2) });
    expect((await readSafetensors(path)).tensors['a']).toEqual(f32([1], 2));
    expect(readdirSync(directory)).toEqual(['model.safetensors']);
  });

  it('writeSafetensors of an inconsistent entry throws before it touches the file', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'model.safetensors');
    await writeSafetensors(path, { a: f32([1], 1) });
    await expect(writeSafetensors(path, { a: f32([2], 1) })).rejects.toThrow('writeSafetensors: data of "a" must have 8 bytes');
    expect((await readSafetensors(path)).tensors['a']).toEqual(f32([1], 1));
    expect(readdirSync(directory)).toEqual(['model.safetensors']);
  });

  it('writeSafetensors on a full disk throws one line with path and reason, and the previous file stays whole', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'model.safetensors');
    await writeSafetensors(path, { a: f32([1], 1) });
    const before = readFileSync(path);
    const script = `
      import { writeSafetensors } from '@evenkeel/checkpoint';
      const data = new Float32Array(1 << 18);
      await writeSafetensors(${JSON.stringify(path)}, { a: { dtype: 'F32', shape: [data.length], data } })
        .catch((error) => { console.log(error.name + ': ' + error.message); process.exitCode = 3; });`;
    const { stdout } = await runWithFileLimit(script);
    expect(stdout.trim()).toBe(`ConfigError: writeSafetensors: ${path} must be writable, got file too large (EFBIG)`);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(directory)).toEqual(['model.safetensors']);
  });
});

/** Runs a script that may write no file above 64 KiB: writes beyond fail half-way, as on a full disk. */
async function runWithFileLimit(script: string): Promise<{ stdout: string }> {
  const command = `trap '' XFSZ; ulimit -f 64; exec "$0" --conditions=@evenkeel/source --input-type=module -e "$1"`;
  try {
    return await promisify(execFile)('bash', ['-c', command, process.execPath, script], { cwd: import.meta.dirname });
  } catch (error) {
    return error as { stdout: string };
  }
}

describe('writeCheckpoint', () => {
  it('writeCheckpoint(directory) makes a directory that is not there, and says why it cannot', async () => {
    const directory = join(temporaryDirectory(), 'a', 'b');
    await writeCheckpoint(directory, { config: { model_type: 'x' }, entries: { w: f32([1], 2) } });
    expect(readdirSync(directory).sort()).toEqual(['config.json', 'model.safetensors']);
    await expect(writeCheckpoint(join(directory, 'config.json'), { config: {}, entries: {} })).rejects.toThrow(/config\.json must be a directory, or a path where one can be made, got file already exists \(EEXIST\)/);
  });
});

describe('atomicWriteFile', () => {
  it('atomicWriteFile writes text, bytes and pieces', async () => {
    const path = join(temporaryDirectory(), 'file');
    await atomicWriteFile(path, 'é\n');
    expect(readFileSync(path, 'utf8')).toBe('é\n');
    await atomicWriteFile(path, Uint8Array.of(1, 2));
    expect([...readFileSync(path)]).toEqual([1, 2]);
    await atomicWriteFile(path, [Uint8Array.of(3), new Uint8Array(0), Uint8Array.of(4, 5)]);
    expect([...readFileSync(path)]).toEqual([3, 4, 5]);
  });

  it('atomicWriteFile many times at once leaves one whole content and no temporary file', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'file');
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(50_000 + i));
    await Promise.all(contents.map((content) => atomicWriteFile(path, content)));
    expect(contents).toContain(readFileSync(path, 'utf8'));
    expect(readdirSync(directory)).toEqual(['file']);
  });

  it('atomicWriteFile through a symbolic link replaces the file it points to', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'target'), 'old');
    symlinkSync(join(directory, 'target'), join(directory, 'link'));
    await atomicWriteFile(join(directory, 'link'), 'new');
    expect(readFileSync(join(directory, 'target'), 'utf8')).toBe('new');
  });

  it('atomicWriteFile removes temporary files that a killed process left, and no others', async () => {
    const directory = temporaryDirectory();
    const dead = await deadProcess();
    const files = [`model.tmp-${dead}-0`, `model.tmp-${process.pid}-7`, `model.tmp-x`, `other.tmp-${dead}-0`];
    for (const file of files) writeFileSync(join(directory, file), 'half');
    await atomicWriteFile(join(directory, 'model'), 'whole');
    expect(readdirSync(directory).sort()).toEqual(['model', ...files.slice(1)].sort());
  });

  const failures: [what: string, prepare: (directory: string) => string, reason: RegExp][] = [
    ['a directory that is missing', (directory) => join(directory, 'none', 'file'), /no such file or directory \(ENOENT\)/],
    ['a directory that is a file', (directory) => (writeFileSync(join(directory, 'plain'), ''), join(directory, 'plain', 'file')), /not a directory \(ENOTDIR\)/],
    ['a path that is a directory', (directory) => (mkdirSync(join(directory, 'here')), join(directory, 'here')), /illegal operation on a directory \(EISDIR\)/],
  ];
  it.each(failures)('atomicWriteFile to %s throws one line with path and reason and leaves nothing behind', async (_, prepare, reason) => {
    const directory = temporaryDirectory();
    const path = prepare(directory);
    const before = readdirSync(directory);
    const error = await atomicWriteFile(path, 'x').then(() => undefined, (thrown: Error) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error?.message.startsWith(`atomicWriteFile: ${path} must be writable, got `)).toBe(true);
    expect(error?.message).toMatch(reason);
    expect(readdirSync(directory)).toEqual(before);
  });
});

async function deadProcess(): Promise<number> {
  const child = execFile('true');
  await new Promise((done) => child.once('exit', done));
  return child.pid as number;
}

describe('openSafetensors', () => {
  it('openSafetensors(path) gives names, metadata, infos, and each tensor on its own', async () => {
    const path = join(temporaryDirectory(), 'x.safetensors');
    await writeSafetensors(path, twoTensors);
    const file = await openSafetensors(path);
    expect([...file.names].sort()).toEqual(['a', 'b']);
    expect(file.info('b')).toEqual({ dtype: 'U8', shape: [3], byteLength: 3 });
    expect(await file.read('b')).toEqual(twoTensors.b);
    expect(await file.read('a')).toEqual(twoTensors.a);
    expect(() => file.info('c')).toThrow(`openSafetensors: ${path} must hold a tensor "c", got none of that name`);
    await expect(file.read('__proto__')).rejects.toThrow(ConfigError);
    await file.close();
  });

  it('openSafetensors(blob) and readSafetensors(blob) read without a file system path', async () => {
    const path = join(temporaryDirectory(), 'x.safetensors');
    await writeSafetensors(path, twoTensors);
    const file = await openSafetensors(await openAsBlob(path));
    expect(await file.read('b')).toEqual(twoTensors.b);
    expect({ ...(await readSafetensors(new Blob([serializeSafetensors(twoTensors)]))).tensors }).toEqual(twoTensors);
  });

  it('openSafetensors reads a misaligned file', async () => {
    const path = join(temporaryDirectory(), 'odd.safetensors');
    writeFileSync(path, rawFile('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} ', Uint8Array.of(0, 0, 128, 63)));
    expect((await readSafetensors(path)).tensors['x']).toEqual(f32([1], 1));
  });

  it('openSafetensors of a file that is cut off while open throws instead of giving zeros', async () => {
    const path = join(temporaryDirectory(), 'x.safetensors');
    await writeSafetensors(path, twoTensors);
    const file = await openSafetensors(path);
    truncateSync(path, statSync(path).size - 1);
    await expect(file.read('b')).rejects.toThrow(`${path} must be a readable file, got a file that ended at byte`);
    await file.close();
  });

  it('readSafetensors of a truncated file, at every length, throws one line that names the path', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'cut.safetensors');
    const whole = serializeSafetensors(twoTensors);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const error = await readSafetensors(path).then(() => undefined, (thrown: Error) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error?.message).toMatch(new RegExp(`^readSafetensors: ${path}[^\n]*$`));
      expect(() => parseSafetensors(whole.subarray(0, length))).toThrow(ConfigError);
    }
  });

  it('openSafetensors of a missing path, a directory or a device names path and reason', async () => {
    const directory = temporaryDirectory();
    await expect(openSafetensors(join(directory, 'none'))).rejects.toThrow(/none must be a readable file, got no such file or directory \(ENOENT\)/);
    await expect(openSafetensors(directory)).rejects.toThrow(`openSafetensors: ${directory} must be a file, got a directory`);
    await expect(openSafetensors('/dev/zero')).rejects.toThrow('/dev/zero must be a file, got a device or pipe');
  });
});
