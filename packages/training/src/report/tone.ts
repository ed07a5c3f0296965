/** Tone — how something is meant: in green, red, amber or as ordinary text. */
export type Tone = 'good' | 'bad' | 'warning' | 'plain';
