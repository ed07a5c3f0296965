import { describe, expect, it } from 'vitest';
import { exampleOf, importProblems, installLine, installProblems } from '../exampleProject.ts';
import { bundle, sizeProblems } from '../sizes.ts';
import { tarballProblems } from '../tarball.ts';
import { fixture } from './fixture.ts';

const manifest = { name: '@x/norms', version: '1.0.0', exports: { '.': { types: './dist/index.d.ts', import: './dist/index.js' } } };
const files = ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts', 'dist/index.js.map'];

describe('tarballProblems', () => {
  it('tarballProblems accepts a package of dist, README and licence', () => {
    expect(tarballProblems({ name: '@x/norms', files, manifest })).toEqual([]);
  });

  it.each([
    ['a workspace range', { manifest: { ...manifest, peerDependencies: { '@x/core': 'workspace:^' } } }, '@x/core workspace:^'],
    ['sources', { files: [...files, 'src/index.ts'] }, 'must not ship src/index.ts'],
    ['tests', { files: [...files, 'dist/a.test.js'] }, 'must not ship dist/a.test.js'],
    ['no licence', { files: files.filter((file) => file !== 'LICENSE') }, 'must ship LICENSE'],
    ['a missing entry', { files: files.filter((file) => file !== 'dist/index.js') }, 'names dist/index.js, which it does not ship'],
    ['the source condition', { manifest: { ...manifest, exports: { '.': { '@evenkeel/source': './dist/index.js' } } } }, 'development condition'],
    ['no entry', { manifest: { ...manifest, exports: undefined } }, 'exports nothing'],
  ])('tarballProblems refuses %s', (_, change, problem) => {
    expect(tarballProblems({ name: '@x/norms', files, manifest, ...change }).join('\n')).toContain(problem);
  });
});

describe('the README example', () => {
  const readme = '# n\n\n    npm i @x/norms @tensorflow/tfjs-core\n\n```js\nno\n```\n\n## Example\n\nText.\n\n```js\nimport { a } from \'@x/norms\';\n```\n\n```js\nlater\n```\n\n## Functions\n';

  it('exampleOf takes the first js block under the heading, and none from other sections', () => {
    expect(exampleOf(readme)).toBe('import { a } from \'@x/norms\';\n');
    expect(exampleOf('## Example\n\n## Functions\n\n```js\nx\n```\n')).toBeUndefined();
    expect(exampleOf('## Example\n```js\nlast\n```\n')).toBe('last\n');
  });

  it('installLine reads indented, fenced and inline forms', () => {
    expect(installLine(readme)).toEqual(['@x/norms', '@tensorflow/tfjs-core']);
    expect(installLine('```sh\nnpm install -D a b\n```')).toEqual(['a', 'b']);
    expect(installLine('no install')).toBeUndefined();
  });

  it('installProblems asks for required peers and refuses strangers', () => {
    const peers = { ...manifest, peerDependencies: { '@tensorflow/tfjs-core': '^4', webgpu: '*' }, peerDependenciesMeta: { webgpu: { optional: true } } };
    expect(installProblems(peers, ['@x/norms', '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'])).toEqual([]);
    expect(installProblems(peers, ['@x/norms', 'left-pad'])).toEqual([
      expect.stringContaining('must name @tensorflow/tfjs-core'), expect.stringContaining('names left-pad'),
    ]);
  });

  it('importProblems refuses an import that the install line does not name', () => {
    expect(importProblems('import \'@x/norms\'; import \'node:fs\'; import \'@x/core\';', ['@x/norms'])).toEqual([expect.stringContaining('imports @x/core')]);
  });
});

describe('sizes', () => {
  it('sizeProblems refuses growth, packages without a limit and limits without a package', () => {
    const recorded = { a: { gzipBytes: 90, limit: 100 }, gone: { gzipBytes: 1, limit: 500 } };
    expect(sizeProblems(new Map([['a', 100]]), { a: recorded.a })).toEqual([]);
    expect(sizeProblems(new Map([['a', 101], ['b', 1]]), recorded)).toEqual([
      expect.stringMatching(/^a: 101 bytes compressed, at most 100/), expect.stringMatching(/^b: 1 bytes, no limit/), expect.stringMatching(/^gone:/),
    ]);
  });

  it('bundle fails on a module of Node in a browser bundle', async () => {
    const root = fixture({ 'page.js': 'import { readFileSync } from "node:fs"; console.log(readFileSync);' });
    await expect(bundle({ entryPoints: [`${root}/page.js`], platform: 'browser' })).rejects.toThrow('node:fs');
  });
});
