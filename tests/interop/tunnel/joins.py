"""The join numbers of a session that were used (3.3, check 9): by joins, or by LOST for one that never came (8)."""

REACH = 64


class JoinNumbers:
    def __init__(self):
        self.highest, self.seen = 0, {0}

    def is_used(self, number):
        return number in self.seen or number < self.highest - REACH

    def use(self, number):
        self.highest = max(self.highest, number)
        self.seen = {n for n in self.seen | {number} if n >= self.highest - REACH}
