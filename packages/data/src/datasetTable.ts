/** DatasetFile — what is known of a public data set of one file: where it lies, and its bytes. */
export type DatasetFile = {
  /** Below a data folder. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Where it can be fetched from; absent if nobody offers it in this form. */
  readonly url?: string;
  readonly what?: string;
  readonly licence?: string;
};

const GITHUB = 'https://raw.githubusercontent.com';

/** DATASETS — by name. */
export const DATASETS = {
  tinyshakespeare: {
    file: 'text/tinyshakespeare.txt', bytes: 1_115_394, sha256: '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
    url: `${GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt`, what: '1.1 MB of Shakespeare’s plays', licence: 'public domain',
  },
  'wikitext-2-valid': {
    file: 'text/wikitext-2-valid.txt', bytes: 1_121_681, sha256: 'f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8',
    url: `${GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/valid.txt`, what: 'WikiText-2, validation part', licence: 'CC BY-SA',
  },
  'wikitext-2-test': {
    file: 'text/wikitext-2-test.txt', bytes: 1_256_449, sha256: 'd790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0',
    url: `${GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/test.txt`, what: 'WikiText-2, test part', licence: 'CC BY-SA',
  },
  'sst2-train': {
    file: 'text/sst2-train.tsv', bytes: 720_259, sha256: 'ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920',
    url: `${GITHUB}/clairett/pytorch-sentiment-classification/master/data/SST2/train.tsv`, what: 'SST-2, 6,919 training sentences: text, label', licence: 'not stated',
  },
  'sst2-dev': {
    file: 'text/sst2-dev.tsv', bytes: 92_057, sha256: 'eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359',
    url: `${GITHUB}/clairett/pytorch-sentiment-classification/master/data/SST2/dev.tsv`, what: 'SST-2, 872 sentences for validation: text, label', licence: 'not stated',
  },
  'cola-train': {
    file: 'text/cola-train.tsv', bytes: 428_578, sha256: 'f320a10f92d3bce6b29152fde322a362eac39238e50d8de0c8815457fdf4fc12',
    url: `${GITHUB}/nyu-mll/CoLA-baselines/master/acceptability_corpus/cola_public/raw/in_domain_train.tsv`, what: 'CoLA, 8,551 training sentences: source, label, mark, text', licence: 'not stated',
  },
  'cola-dev': {
    file: 'text/cola-dev.tsv', bytes: 25_957, sha256: '77176f6a03faa5a1c4f23c69971fc1bff565931112fb65af47b2d6e24b7f42f7',
    url: `${GITHUB}/nyu-mll/CoLA-baselines/master/acceptability_corpus/cola_public/raw/in_domain_dev.tsv`, what: 'CoLA, 527 sentences for validation: source, label, mark, text', licence: 'not stated',
  },
  'tsac-train-pos': {
    file: 'text/tsac/train_pos.txt', bytes: 323_280, sha256: '1ddedc6fce42e9d3e09a5892088700a1c9065dcd2f1739983babdf964fc21556',
    url: `${GITHUB}/fbougares/TSAC/master/train_pos.txt`, what: 'TSAC, positive comments in Tunisian Arabic, train part, one a line', licence: 'LGPL-3.0',
  },
  'tsac-train-neg': {
    file: 'text/tsac/train_neg.txt', bytes: 434_702, sha256: '4babaf50959d556ea879a471acc3f5c0b794c6e606f31da8002633ab8b199668',
    url: `${GITHUB}/fbougares/TSAC/master/train_neg.txt`, what: 'TSAC, negative comments in Tunisian Arabic, train part, one a line', licence: 'LGPL-3.0',
  },
  'tsac-test-pos': {
    file: 'text/tsac/test_pos.txt', bytes: 84_007, sha256: '36e64d31103fb770988337b0a3a71340ac2187c568d52e9eec139df4571b7eb1',
    url: `${GITHUB}/fbougares/TSAC/master/test_pos.txt`, what: 'TSAC, positive comments in Tunisian Arabic, test part, one a line', licence: 'LGPL-3.0',
  },
  'tsac-test-neg': {
    file: 'text/tsac/test_neg.txt', bytes: 121_026, sha256: '41e8e829d1b74196ba82c03171e793ac641dd3c936de6a662d9fa399d438a3c6',
    url: `${GITHUB}/fbougares/TSAC/master/test_neg.txt`, what: 'TSAC, negative comments in Tunisian Arabic, test part, one a line', licence: 'LGPL-3.0',
  },
  'trcd-train': {
    file: 'text/trcd/train.json', bytes: 374_891, sha256: '533348bf2e4a38eb700596197b5ec4485d8de5512c1fec0aefe19206a907822b',
    url: `${GITHUB}/instadeepai/tunbert/main/dev-data/question_answering_trcd/train.json`, what: 'TRCD, 456 questions in Tunisian Arabic, SQuAD format', licence: 'MIT',
  },
  'trcd-val': {
    file: 'text/trcd/val.json', bytes: 52_990, sha256: 'd8a58b69e30f4734d978e219d11c8791ee36461ac0db2238f37d19ca40a721e6',
    url: `${GITHUB}/instadeepai/tunbert/main/dev-data/question_answering_trcd/val.json`, what: 'TRCD, 60 questions in Tunisian Arabic, SQuAD format', licence: 'MIT',
  },
  'trcd-test': {
    file: 'text/trcd/test.json', bytes: 75_704, sha256: '13e68e9689454e5441fe8c606f9d93d446c491a3beb8e5e6b296debf8e8d62f9',
    url: `${GITHUB}/instadeepai/tunbert/main/dev-data/question_answering_trcd/test.json`, what: 'TRCD, 64 questions in Tunisian Arabic, SQuAD format', licence: 'MIT',
  },
  'mnist-t10k-images': {
    file: 'images/t10k-images-idx3-ubyte.gz', bytes: 1_648_877, sha256: '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
    url: `${GITHUB}/fgnt/mnist/master/t10k-images-idx3-ubyte.gz`, what: 'MNIST, 10,000 test images, IDX', licence: 'CC BY-SA',
  },
  'mnist-t10k-labels': {
    file: 'images/t10k-labels-idx1-ubyte.gz', bytes: 4542, sha256: 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
    url: `${GITHUB}/fgnt/mnist/master/t10k-labels-idx1-ubyte.gz`, what: 'MNIST, their labels, IDX', licence: 'CC BY-SA',
  },
  'cifar10-train-10k': {
    file: 'images/cifar10-train-10k.bin.gz', bytes: 28_230_046, sha256: '062bcd747d244984881952ab4a028bb82dc9c5e47f7011c3110cb870b3760976',
    what: '10,000 training images of CIFAR-10, binary version', licence: 'none stated',
  },
  'cifar10-test-2k': {
    file: 'images/cifar10-test-2k.bin.gz', bytes: 5_648_271, sha256: '6e72cfab28bd5219c5bd58b418df6a871da561443f70acff199b8da458ae4987',
    what: '2,000 test images of CIFAR-10, binary version', licence: 'none stated',
  },
} as const satisfies Readonly<Record<string, DatasetFile>>;

/** DatasetName — `tinyshakespeare`, `wikitext-2-valid`, `mnist-t10k-images`, … */
export type DatasetName = keyof typeof DATASETS;
