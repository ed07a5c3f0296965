import { describe, expect, it } from 'vitest';
import { checkLayering } from '../layering.ts';
import { fixture, manifest } from './fixture.ts';

const uses = (...names: string[]) => ({ dependencies: Object.fromEntries(names.map((name) => [`@x/${name}`, 'workspace:^'])) });
const sound = {
  'packages/core/package.json': manifest('core', 'layer:0'),
  'packages/core/src/index.ts': `export { a } from './a.ts';`,
  'packages/core/src/a.ts': `import { readFileSync } from 'node:fs'; export const a = readFileSync;`,
  'packages/norms/package.json': manifest('norms', 'layer:2', uses('core')),
  'packages/norms/src/index.ts': `import { a } from '@x/core'; export const b = a;`,
};

describe('checkLayering', () => {
  it('checkLayering accepts a sound tree', () => {
    expect(checkLayering(fixture(sound))).toEqual([]);
  });

  it.each([
    ['upward', 'core', 'layer:0', 'norms', 'layer 0 must not use layer 2'],
    ['sideways in layer 2', 'layers', 'layer:2', 'norms', 'both are of layer 2'],
  ])('checkLayering refuses a dependency %s', (_, name, tag, other, problem) => {
    const tree = { ...sound, [`packages/${name}/package.json`]: manifest(name, tag, uses(other)) };
    expect(checkLayering(fixture(tree)).join('\n')).toContain(`packages/${name}/package.json: must not depend on @x/${other}: ${problem}`);
  });

  it('checkLayering refuses sideways peers and optional dependencies of layer 3', () => {
    const tree = {
      'packages/gpt/package.json': manifest('gpt', 'layer:3', { peerDependencies: { '@x/training': '^1' } }),
      'packages/vit/package.json': manifest('vit', 'layer:3', { optionalDependencies: { '@x/training': '^1' } }),
      'packages/training/package.json': manifest('training', 'layer:3'),
    };
    expect(checkLayering(fixture(tree))).toEqual([
      expect.stringMatching(/^packages\/gpt.*both are of layer 3/), expect.stringMatching(/^packages\/vit.*both are of layer 3/),
    ]);
  });

  it('checkLayering lets apps use training and refuses tools outside devDependencies', () => {
    const tree = {
      'packages/training/package.json': manifest('training', 'layer:3'),
      'tools/testing/package.json': manifest('testing', 'tool'),
      'apps/cli/package.json': manifest('cli', 'layer:4', uses('training', 'testing')),
    };
    expect(checkLayering(fixture(tree))).toEqual(['apps/cli/package.json: must not depend on @x/testing: tools may only be devDependencies']);
  });

  it('checkLayering refuses an import that is not declared, type imports included', () => {
    const tree = { ...sound, 'packages/norms/src/c.ts': `import type { T } from 'zod'; export type U = T;` };
    expect(checkLayering(fixture(tree))).toEqual(['packages/norms/src/c.ts: zod: zod is not in dependencies or peerDependencies']);
  });

  it('checkLayering refuses devDependencies in src and accepts them in tests', () => {
    const tree = {
      ...sound,
      'packages/norms/package.json': manifest('norms', 'layer:2', { ...uses('core'), devDependencies: { '@x/testing': '*', 'fast-check': '*' } }),
      'tools/testing/package.json': manifest('testing', 'tool'),
      'packages/norms/test/b.test.ts': `import '@x/testing'; import 'fast-check'; import '@x/norms';`,
      'packages/norms/src/c.ts': `export * from '@x/testing'; export const d = import('fast-check');`,
    };
    expect(checkLayering(fixture(tree))).toEqual([
      'packages/norms/src/c.ts: @x/testing: must not be imported here: tools may only be devDependencies',
      'packages/norms/src/c.ts: fast-check: fast-check is not in dependencies or peerDependencies',
    ]);
  });

  it.each([
    [`import '@x/core/src/a.ts';`, 'deep imports are forbidden'],
    [`import '../../core/src/a.ts';`, 'leaves the package'],
    [`import '../test/helper.ts';`, 'src/ must not import from outside src/'],
    [`import '@x/norms';`, 'does not import itself by name'],
    [`import 'fs';`, 'write node:fs'],
  ])('checkLayering refuses %s in src', (code, problem) => {
    expect(checkLayering(fixture({ ...sound, 'packages/norms/src/c.ts': code })).join('\n')).toContain(problem);
  });

  it('checkLayering refuses circles of files and of packages', () => {
    const tree = {
      ...sound,
      'packages/core/package.json': manifest('core', 'layer:0', { devDependencies: { '@x/norms': '*' } }),
      'packages/core/src/a.ts': `export const a = 1; export { b } from './b.ts';`,
      'packages/core/src/b.ts': `import type { a } from './a.ts'; export type b = typeof a;`,
    };
    const problems = checkLayering(fixture(tree)).join('\n');
    expect(problems).toContain('files import each other in a circle: src/a.ts → src/b.ts → src/a.ts');
    expect(problems).toContain('packages depend on each other in a circle: @x/core → @x/norms → @x/core');
  });

  it('checkLayering refuses a package without a layer and a tool that knows the packages', () => {
    const tree = { ...sound, 'packages/odd/package.json': manifest('odd', 'layer:7'), 'tools/testing/package.json': manifest('testing', 'tool', uses('core')) };
    expect(checkLayering(fixture(tree))).toEqual([
      expect.stringMatching(/^packages\/odd\/package.json: nx.tags must hold/),
      'tools/testing/package.json: must not depend on @x/core: tools know nothing of the packages they serve',
    ]);
  });
});
