#!/usr/bin/perl
# The perl workload: hashes, regular expressions, sorting, strings that grow. work.pl COUNT.
use strict;
use warnings;

my $count = shift;
my $state = 42;

sub number {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    return $state >> 8;
}

my (%count_of, %places_of, $text);
for my $place (1 .. $count) {
    my $word = join '', map { chr(97 + number() % 7) } 1 .. 3 + number() % 4;
    $count_of{$word}++;
    push @{ $places_of{substr $word, 0, 2}{$word} }, $place;
    $text .= $place % 9 ? "$word " : "$word=$place\n";
}

my ($pairs, $doubles) = (0, 0);
while ($text =~ /^(.*?)(\w+)=(\d+)$/mg) {
    $pairs += $3 + length $1;
}
$doubles++ while $text =~ /\b(\w*(\w)\2\w*)\b/g;
(my $changed = $text) =~ s/(\w+) (\w+)/\u$2-$1/g;
my %seen;
my @parts = grep { !$seen{$_}++ } split /[-\s=]+/, $changed;

print "$pairs $doubles ", length $changed, ' ', scalar @parts, "\n";
my @common = sort { $count_of{$b} <=> $count_of{$a} || $a cmp $b } keys %count_of;
print "$_ $count_of{$_}\n" for @common[0 .. 99];
for my $start (sort keys %places_of) {
    my $words = $places_of{$start};
    my $last = (sort keys %$words)[-1];
    print "$start ", scalar keys %$words, " $last @{$words->{$last}}\n";
}
print join(' ', (map { scalar reverse } sort @parts)[0 .. 99]), "\n";
