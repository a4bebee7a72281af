"""The python3 workload: json, regular expressions, dictionaries, classes. work.py COUNT."""

import json
import re
import sys


class Account:
    """One owner of postings; many small objects with a dictionary each."""

    def __init__(self, number):
        self.number = number
        self.postings = []
        self.notes = {}

    def post(self, amount, note):
        self.postings.append((amount, note))
        self.notes.setdefault(note[:3], []).append(amount)

    def total(self):
        return sum(amount for amount, _ in self.postings)


def numbers(count, state=42):
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        yield state >> 8


def accounts(count):
    made = [Account(number) for number in range(count // 10 + 1)]
    for value in numbers(count):
        made[value % len(made)].post(value % 2003 - 1000, "note %x" % value)
    return sorted(made, key=lambda account: (account.total(), account.number))


def as_json(made):
    rows = [{"number": a.number, "total": a.total(), "notes": a.notes} for a in made]
    text = json.dumps(rows, sort_keys=True, indent=1)
    again = json.loads(text)
    assert again == json.loads(json.dumps(again))
    return text


def words(text):
    found = {}
    for match in re.finditer(r'"(?P<key>[a-z]+)": (?P<value>-?\d+)', text):
        key = (match["key"], match["value"][-1])
        found[key] = found.get(key, 0) + 1
    changed, times = re.subn(r"\b(\w)(\w*)\b", lambda m: m[2] + m[1], text)
    return found, len(changed), times, len(set(re.split(r"\W+", changed)))


def main():
    count = int(sys.argv[1])
    made = accounts(count)
    text = as_json(made)
    found, length, times, different = words(text)
    print(len(text), length, times, different)
    for key in sorted(found):
        print(key, found[key])
    for account in made[:50] + made[-50:]:
        print(account.number, account.total(), sorted(account.notes.items())[:4])
    big = 1
    for value in numbers(count // 50):
        big = big * (value | 1) % (1 << 4096)
    print(hex(big))


main()
