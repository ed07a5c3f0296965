import { getBackend } from '@tensorflow/tfjs-core';
import { forEachBackend, provideBackend, useBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

forEachBackend(['cpu'], (backend) => {
  it('forEachBackend selects the backend while its tests run', () => {
    expect(getBackend()).toBe(backend);
  });
});

describe('useBackend', () => {
  it('useBackend(name) gives the reason why a backend is unavailable', async () => {
    provideBackend('absent', async () => 'no Vulkan driver');
    expect(await useBackend('absent')).toBe('no Vulkan driver');
    expect(await useBackend('unheard-of')).toMatch(/no backend named unheard-of/);
    expect(await useBackend('cpu')).toBeUndefined();
  });

  it('useBackend(name) throws when the provider throws or registers nothing', async () => {
    provideBackend('broken', async () => {
      throw new TypeError('x is not a function');
    });
    await expect(useBackend('broken')).rejects.toThrow(TypeError);
    provideBackend('idle', async () => undefined);
    await expect(useBackend('idle')).rejects.toThrow('the provider of idle must register it');
  });

  it('useBackend(name) makes a backend once', async () => {
    let made = 0;
    provideBackend('once', async () => `${++made}`);
    await useBackend('once');
    expect(await useBackend('once')).toBe('1');
  });
});
