/** `@evenkeel/testing/numbers`: what needs no test runner, for suites that also run in a browser page or a bare process. */
export { closenessOf, type Closeness, type Tolerance } from './closeness.ts';
export { randomArray, randomIntegers } from './random.ts';
export * from './oracle.ts';
