import { skipped, type Outcome } from './outcome.ts';
export async function browserTests(): Promise<Outcome> { return skipped('browser'); }
