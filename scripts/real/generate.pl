#!/usr/bin/perl
# Writes the input of one real program to standard output: generate.pl KIND COUNT.
# The same KIND and COUNT give the same bytes everywhere: the numbers come from our own generator.
use strict;
use warnings;

my @words = qw(address block commit decommit discard fault frame free granule guard handler heap
  kernel length mapping memory owner page pointer process quarantine region release report reserve
  section slack slot stack state stomp supervisor table thread trace unguard value vector view word);

my $state = 42;

# A whole number from 0 to $below - 1.
sub pick {
    my ($below) = @_;
    $state = ($state * 1103515245 + 12345) % 2147483648;
    return int($state / 65536) % $below;
}

sub word { return $words[pick(scalar @words)]; }

sub sentence { return join ' ', map { word() } 1 .. 4 + pick(8); }

# A stream for git fast-import: COUNT commits over some files, with renames, deletions and merges.
sub repository {
    my ($count) = @_;
    my %files;
    for my $commit (1 .. $count) {
        my $merge = $commit % 25 == 0;
        my $author = ucfirst word();
        print "commit refs/heads/main\nmark :$commit\n";
        printf "committer %s <%s\@example.org> %d +0000\n", $author, lc $author,
          1700000000 + 3600 * $commit;
        data(ucfirst(sentence()) . "\n\n" . join("\n", map { sentence() } 1 .. 3) . "\n");
        print "from :", $commit - 1, "\n" if $commit > 1;
        print "merge :", $commit - 20, "\n" if $merge;
        change_files(\%files, $commit);
        print "\n";
    }
}

sub change_files {
    my ($files, $commit) = @_;
    for my $change (1 .. 1 + pick(4)) {
        my $path = join('/', word(), word()) . '.txt';
        my $lines = $files->{$path} //= [map { sentence() } 1 .. 40 + pick(120)];
        splice @$lines, pick(scalar @$lines), pick(4), map { sentence() } 0 .. pick(6);
        print "M 100644 inline $path\n";
        data(join("\n", @$lines) . "\n");
    }
    return if $commit % 30;
    my @paths = sort keys %$files;
    my ($from, $to) = ($paths[pick(scalar @paths)], "moved/$commit.txt");
    $files->{$to} = delete $files->{$from};
    print "R $from $to\n";
}

sub data {
    my ($text) = @_;
    print 'data ', length $text, "\n$text\n";
}

# COUNT accounts and as many postings, inserted one by one, then indexes, joins and changes.
sub database {
    my ($count) = @_;
    print "PRAGMA synchronous=OFF;\nPRAGMA journal_mode=MEMORY;\nBEGIN;\n";
    print "CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT, kind TEXT);\n";
    print "CREATE TABLE posting(id INTEGER PRIMARY KEY, owner INTEGER, amount INTEGER, note TEXT);\n";
    my $owners = int($count / 20);
    for my $id (1 .. $owners) {
        printf "INSERT INTO owner VALUES(%d,'%s %d','%s');\n", $id, word(), $id, word();
    }
    for my $id (1 .. $count) {
        printf "INSERT INTO posting VALUES(%d,%d,%d,'%s');\n", $id, 1 + pick($owners),
          pick(20000) - 10000, sentence();
    }
    print <<'SQL';
COMMIT;
CREATE INDEX posting_owner ON posting(owner, amount);
CREATE INDEX posting_note ON posting(note);
ANALYZE;
SELECT kind, count(*), sum(amount), max(note) FROM posting JOIN owner ON owner.id = posting.owner
  GROUP BY kind ORDER BY kind;
SELECT name, amount, rank() OVER (PARTITION BY kind ORDER BY amount, posting.id) AS place
  FROM posting JOIN owner ON owner.id = posting.owner ORDER BY kind, place LIMIT 500;
SELECT substr(note, 1, 12) AS start, group_concat(DISTINCT owner % 7) FROM posting
  WHERE note LIKE '%quarantine%' GROUP BY start ORDER BY start LIMIT 200;
UPDATE posting SET note = note || ' ' || upper(substr(note, 1, 5)) WHERE id % 3 = 0;
DELETE FROM posting WHERE id % 11 = 0;
WITH RECURSIVE step(n, total) AS (SELECT 1, 0 UNION ALL
  SELECT n + 1, total + (SELECT coalesce(sum(amount), 0) FROM posting WHERE owner = n)
  FROM step WHERE n < 300) SELECT max(n), total FROM step;
SELECT count(*), sum(length(note)), total(amount) FROM posting;
PRAGMA integrity_check;
SQL
}

# An array of COUNT objects, about 200 bytes each.
sub json {
    my ($count) = @_;
    print "[\n";
    for my $id (1 .. $count) {
        printf '{"id":%d,"name":"%s %d","kind":"%s","size":%d,"ratio":%d.%02d,"live":%s,', $id,
          word(), $id, word(), pick(65536), pick(100), pick(100), pick(2) ? 'true' : 'false';
        printf '"tags":[%s],"owner":{"name":"%s","note":"%s \u00e9 \"%s\""}}%s' . "\n",
          join(',', map { '"' . word() . '"' } 0 .. pick(5)), word(), sentence(), word(),
          $id < $count ? ',' : '';
    }
    print "]\n";
}

# A catalogue of COUNT entries, about 330 bytes each, without indentation.
sub xml {
    my ($count) = @_;
    print '<?xml version="1.0" encoding="UTF-8"?>', "\n",
      '<catalogue xmlns:note="http://example.org/note">';
    for my $id (1 .. $count) {
        printf '<entry id="e%d" kind="%s"><title>%s &amp; %s</title>', $id, word(), word(), word();
        printf '<size unit="byte">%d</size><owner><name>%s</name><place>%s</place></owner>',
          pick(65536), word(), word();
        print '<note:remark>', sentence(), ' &lt;', word(), '&gt;</note:remark><list>';
        print '<item>', word(), '</item>' for 0 .. pick(5);
        print '</list></entry>';
    }
    print "</catalogue>\n";
}

# A C file of about 20 lines a function.
sub c {
    my ($count) = @_;
    print "struct node { struct node *next; long value; int kind; char name[16]; };\n";
    print "typedef long (*operation)(long, struct node *);\n";
    c_function($_) for 1 .. $count;
    print "const operation operations[] = {\n", map({"    f$_,\n"} 1 .. $count), "};\n";
}

sub c_function {
    my ($id) = @_;
    my @n = map { 1 + pick(900) } 1 .. 6;
    my $earlier = $id > 1 ? 'f' . (1 + pick($id - 1)) : '(long)';
    my $call = $id > 1 ? "$earlier(total - $n[0], list)" : 'total';
    print <<"C";

/* @{[sentence()]}. */
long f$id(long start, struct node *list)
{
    long total = start * $n[0] + $n[1];
    for (struct node *at = list; at; at = at->next) {
        switch (at->kind % 5) {
        case 0: total += at->value << (total & 7); break;
        case 1: total ^= at->value / $n[2]; break;
        case 2: at->name[total & 15] = (char)(total % $n[3]); break;
        case 3: if (total > $n[4]) total -= at->value; else total += $n[4]; break;
        default: at->kind = (int)(total % ($n[5] + 1)); break;
        }
    }
    if (total % $n[3] == $n[2] % 7)
        return $call;
    while (total > $n[5] * 1000L)
        total = (total >> 1) + (total & $n[1]);
    return total;
}
C
}

# COUNT commands for redis-cli, of all the kinds of value.
sub redis {
    my ($count) = @_;
    for my $id (1 .. $count) {
        printf "SET text:%d \"%s\"\n", $id, sentence();
        printf "HSET record:%d %s \"%s\" %s %d\n", $id % 500, word(), sentence(), word(), pick(999);
        printf "ZADD order:%d %d %s:%d\n", $id % 50, pick(100000), word(), $id;
        printf "SADD group:%d %s:%d\n", $id % 80, word(), pick(400);
        printf "RPUSH queue:%d \"%s\"\n", $id % 30, sentence();
        printf "APPEND log:%d \"%s;\"\n", $id % 10, word();
        printf "DEL text:%d\n", 1 + pick($id) if $id % 5 == 0;
    }
}

# A C++ file with COUNT classes, in containers of the standard library.
sub cxx {
    my ($count) = @_;
    print map({"#include <$_>\n"} qw(algorithm map memory string unordered_map vector)), "\n";
    cxx_class($_) for 1 .. $count;
    print "\nlong all(long n)\n{\n    return 0", map({" + f$_(n)"} 1 .. $count), ";\n}\n";
}

sub cxx_class {
    my ($id) = @_;
    my @n = map { 1 + pick(900) } 1 .. 3;
    print <<"C";

/* @{[sentence()]}. */
struct C$id {
    std::string name;
    long value;
    std::shared_ptr<C$id> next;
    bool operator<(const C$id &other) const { return value * $n[0] < other.value; }
};

long f$id(long n)
{
    std::vector<C$id> all;
    std::map<C$id, std::string> names;
    std::unordered_map<std::string, std::unique_ptr<C$id>> found;
    for (long i = 0; i < n; ++i) {
        all.push_back({std::to_string(i % $n[1]), i, nullptr});
        names[all.back()] += all[i / 2].name;
        found.emplace(all.back().name, std::make_unique<C$id>(all.back()));
    }
    std::sort(all.begin(), all.end());
    return all[n % $n[2]].value + names.size() + found.count(all.front().name);
}
C
}

# Jobs of a step on each of COUNT machines, for a solver: is there a plan that ends in time?
sub smt {
    my ($count) = @_;
    my $jobs = $count + 2;
    my @length = map { [map { 1 + pick(9) } 1 .. $count] } 1 .. $jobs;
    print "(set-option :produce-models true)\n(declare-const end Int)\n";
    for my $job (0 .. $jobs - 1) {
        for my $machine (0 .. $count - 1) {
            my $name = "j${job}m$machine";
            print "(declare-const $name Int)\n(assert (>= $name 0))\n";
            print "(assert (<= (+ $name $length[$job][$machine]) end))\n";
            smt_apart($name, $length[$job][$machine], "j${job}m$_", $length[$job][$_])
              for 0 .. $machine - 1;
            smt_apart($name, $length[$job][$machine], "j${_}m$machine", $length[$_][$machine])
              for 0 .. $job - 1;
        }
    }
    print "(push)(assert (<= end ", $count * 6, "))\n(check-sat)\n(pop)\n";
    print "(push)(assert (<= end ", $count * 10, "))\n(check-sat)\n(get-value (end))\n(pop)\n";
}

# Two steps that are not at one time.
sub smt_apart {
    my ($one, $one_length, $other, $other_length) = @_;
    print "(assert (or (>= $other (+ $one $one_length)) (>= $one (+ $other $other_length))))\n";
}

# COUNT pages of text in many sizes, with curves and shades.
sub postscript {
    my ($count) = @_;
    my @fonts = qw(Times-Roman Helvetica-Bold Courier Times-Italic Palatino-Roman);
    print "%!PS-Adobe-3.0\n";
    for my $page (1 .. $count) {
        for my $line (1 .. 60) {
            printf "/%s findfont %d scalefont setfont 0.%d setgray\n", $fonts[pick(5)],
              6 + pick(9), pick(8);
            printf "%d %d moveto (%s) show\n", 30 + pick(60), 770 - 12 * $line, sentence();
        }
        for (1 .. 40) {
            printf "newpath %d %d moveto %d %d %d %d %d %d curveto 0.%d 0.%d 0.%d setrgbcolor %s\n",
              map({ pick(600) } 1 .. 8), map({ pick(10) } 1 .. 3), pick(2) ? 'stroke' : 'fill';
        }
        print "showpage\n";
    }
}

my %kinds = (
    repository => \&repository,
    database => \&database,
    json => \&json,
    xml => \&xml,
    c => \&c,
    cxx => \&cxx,
    smt => \&smt,
    postscript => \&postscript,
    redis => \&redis,
);
my ($kind, $count) = @ARGV;
die "usage: generate.pl KIND COUNT, KIND one of: @{[sort keys %kinds]}\n"
  unless @ARGV == 2 && $kinds{$kind} && $count =~ /^[1-9][0-9]*$/;
$kinds{$kind}->($count);
