# Called by innd for each article, before it looks at the groups: an empty answer takes the article, any other one refuses it.
#
# innd 2.7.3 keeps room for as many groups of an article as its `active` file has, counts a group as often as the article names it, and
# writes beyond that room when `Newsgroups: lab.test,lab.test,…` goes on for long enough: it ends by SIGSEGV. A server with thousands of
# groups hardly notices; one with seven does.

sub filter_art {
    my %seen;
    foreach my $group (split /[,\s]+/, $hdr{Newsgroups}) {
        return "Newsgroups names a group twice" if length $group && $seen{$group}++;
    }
    return '';
}

1;
