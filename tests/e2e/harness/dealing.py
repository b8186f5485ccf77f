"""How pytest-xdist deals tests out to its workers. By itself it gives each a quarter of its share at first, and of those that take long many
may be in one hand, for which all others wait in the end."""

from xdist.scheduler import LoadScheduling


class OneByOne(LoadScheduling):
    """Each worker has the test that it runs and the next."""

    def schedule(self):
        if self.collection is None:
            assert self._check_nodes_have_same_collection(), "different tests collected"
            self.collection = next(iter(self.node2collection.values()))
            self.pending[:] = range(len(self.collection))
        for node in self.nodes:
            self.check_schedule(node)

    def check_schedule(self, node, duration=0):
        if node.shutting_down:
            return
        n_missing = 2 - len(self.node2pending[node])
        if n_missing > 0:
            self._send_tests(node, n_missing)
        if not self.pending:
            node.shutdown()


def pytest_xdist_make_scheduler(config, log):
    return OneByOne(config, log)
