import t from 'tap';
import { nearest } from '../../src/config/suggestion.ts';

const KEYS = ['listen', 'limits', 'admin', 'clusterKey'];

t.test('a slip of the finger finds the key that was meant', async (t) => {
  t.equal(nearest('lisen', KEYS), 'listen');
  t.equal(nearest('limist', KEYS), 'limits');
  t.equal(nearest('clusterkey', KEYS), 'clusterKey');
  t.equal(nearest('cluster_key', KEYS), 'clusterKey');
});

t.test('what is far from everything finds nothing', async (t) => {
  t.equal(nearest('password', KEYS), undefined);
  t.equal(nearest('x', KEYS), undefined);
  t.equal(nearest('listen', []), undefined);
});
