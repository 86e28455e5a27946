#!/usr/bin/perl
# Rewrite LAPACK's Fortran 90 idioms as the Fortran 77 that f2c reads.
#
#   fortran77.pl DIRECTORY FILE...     writes DIRECTORY/<name>.f for every file (.f, .F, .f90)
#
# It knows the idioms that LAPACK 3.12 uses, not Fortran 90. What it does not know it leaves, and f2c stops there: the
# build fails rather than going on with a routine missing. Functions that Fortran 77 lacks become calls of F77xxx, which
# runtime.c defines.
use strict;
use warnings;

my $TYPE = qr/DOUBLE\s+PRECISION|INTEGER|REAL\s*\(\s*WP\s*\)|REAL|LOGICAL|COMPLEX\s*\(\s*WP\s*\)|COMPLEX\s*\*\s*16|COMPLEX|CHARACTER/;
# (...) with balanced parentheses inside.
my $ARGS = qr/(\((?:[^()]++|(?-1))*+\))/;

# Properties of the model numbers (Fortran 90, 13.7.1), and LA_CONSTANTS of la_constants.f90: single, double precision.
my %INQUIRY = (
    HUGE        => ['3.4028234663852886E+38', '1.7976931348623157D+308'],
    TINY        => ['1.1754943508222875E-38', '2.2250738585072014D-308'],
    EPSILON     => ['1.1920928955078125E-07', '2.2204460492503131D-16'],
    RADIX       => ['2', '2'],
    DIGITS      => ['24', '53'],
    MINEXPONENT => ['(-125)', '(-1021)'],
    MAXEXPONENT => ['128', '1024'],
);
my $INQUIRIES = qr/(HUGE|TINY|EPSILON|RADIX|DIGITS|MINEXPONENT|MAXEXPONENT)/;
my %CONSTANT = (
    ZERO   => ['0.0E+0', '0.0D+0'],
    HALF   => ['0.5E+0', '0.5D+0'],
    ONE    => ['1.0E+0', '1.0D+0'],
    TWO    => ['2.0E+0', '2.0D+0'],
    SAFMIN => ['1.0E+0 / 2.0E+0**126', '1.0D+0 / 2.0D+0**1022'],
    SAFMAX => ['2.0E+0**126',          '2.0D+0**1022'],
    TSML   => ['1.0E+0 / 2.0E+0**63',  '1.0D+0 / 2.0D+0**511'],
    TBIG   => ['2.0E+0**52',           '2.0D+0**486'],
    SSML   => ['2.0E+0**75',           '2.0D+0**537'],
    SBIG   => ['1.0E+0 / 2.0E+0**76',  '1.0D+0 / 2.0D+0**538'],
);
my %RELATION = ('==' => '.EQ.', '/=' => '.NE.', '<=' => '.LE.', '>=' => '.GE.', '<' => '.LT.', '>' => '.GT.');

# State of the file at hand.
my ($double, $complex, %type, %shape, %helper, @temporary, $label, $loop_variables);

my $folder = shift @ARGV;
rewrite($_) for @ARGV;

sub rewrite {
    my ($file) = @_;
    my ($base, $suffix) = $file =~ m{([^/]+)\.(f|F|f90)$} or die "$file: neither .f nor .F nor .f90\n";
    my $letter = $base =~ /^i?([sdcz])/i ? lc $1 : 's';
    ($double, $complex) = ($letter =~ /[dz]/ ? 1 : 0, 0);
    (%type, %shape, %helper, @temporary) = ();
    ($label, $loop_variables) = (90000, 0);
    my @statements = read_statements($file, $suffix eq 'f90');
    # REAL, AIMAG and CONJG keep the precision of their argument; f2c's are single.
    $complex = 1 if grep { $_->[1] =~ /^COMPLEX\s*(\*\s*16|\(\s*WP)/ && $double || $_->[1] =~ /^COMPLEX\s*\*\s*16/ } @statements;
    my @out = leave_loops(map { statement(@$_) } @statements);
    splice @out, 1, 0, declarations();
    write_fixed("$folder/$base.f", @out);
}

# ---- reading ---------------------------------------------------------------------------------------------------------

# Statements as [label, text]: comments gone, continuation lines joined, upper case outside of strings.
sub read_statements {
    my ($file, $free) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my (@found, @skipping, $continued);
    while (my $line = <$in>) {
        $line =~ s/\s+$//;
        # The only conditions are defined(_OPENMP) and alike; nothing is defined here.
        if ($line =~ /^#\s*if/)    { push @skipping, $line =~ /^#\s*ifndef|!\s*defined/ ? 0 : 1; next }
        if ($line =~ /^#\s*else/)  { $skipping[-1] = !$skipping[-1]; next }
        if ($line =~ /^#\s*endif/) { pop @skipping; next }
        next if grep { $_ } @skipping or $line =~ /^\s*(!.*)?$/;
        if ($free) {
            $line = uncommented($line);
            my $goes_on = $line =~ s/&\s*$//;
            $line =~ s/^\s*&?//;
            if ($continued) { $found[-1][1] .= $line } else { push @found, ['', $line] }
            $continued = $goes_on;
            next;
        }
        next if $line =~ /^[*cC]/;
        1 while $line =~ s/^([^\t]*)\t/$1 . ' ' x (8 - length($1) % 8)/e;
        my ($number, $mark, $text) = (substr($line, 0, 5), substr($line, 5, 1), substr($line, 6, 66));
        if ($mark =~ /[^ 0]/ && defined $text && @found) {
            # A string may go on: then the blanks up to column 72 belong to it.
            $found[-1][1] .= ' ' x (66 - $found[-1][2]) if open_string($found[-1][1]);
            $found[-1][1] .= uncommented($text);
            $found[-1][2] = length $text;
        }
        else {
            $number =~ s/\s//g;
            $text = '' unless defined $text;
            push @found, [$number, uncommented($text), length $text];
        }
    }
    return map { [$_->[0], tidy($_->[1])] } grep { $_->[1] =~ /\S/ || length $_->[0] } @found;
}

sub uncommented {
    my ($text) = @_;
    return $text if index($text, '!') < 0;
    return $text =~ /^((?:[^'"!]++|'[^']*+'?+|"[^"]*+"?+)*+)!/ ? $1 : $text;
}

sub open_string { my $quotes = () = $_[0] =~ /'/g; return $quotes % 2 }

sub tidy {
    my ($text) = @_;
    $text =~ s/^\s+|\s+$//g;
    $text =~ s/"([^"]*)"/'$1'/g;
    return outside_strings($text, sub { my $part = uc shift; $part =~ s/\s+/ /g; $part });
}

sub outside_strings {
    my ($text, $change) = @_;
    return join '', map { /^'/ ? $_ : $change->($_) } split /('[^']*')/, $text;
}

# ---- one statement ---------------------------------------------------------------------------------------------------

# The statements, as [label, text], that one statement becomes.
sub statement {
    my ($number, $text) = @_;
    return () if $text =~ /^(IMPLICIT NONE|INTRINSIC\b|USE LA_XISNAN)/;
    return constants($1) if $text =~ /^USE LA_CONSTANTS\s*,\s*ONLY\s*:\s*(.*)$/;
    $text =~ s/^RECURSIVE\s+//;
    $text =~ s/^END\s*(SUBROUTINE|FUNCTION)\b.*$/END/;
    return declaration($number, $text) if $text =~ /^($TYPE|EXTERNAL|PARAMETER|DIMENSION)\b(?!.*\)\s*=[^=])/ && $text !~ /^(\w+)\s*=/
        || $text =~ /^PARAMETER\s*\(/;
    $text = outside_strings($text, \&expression);
    return sections($number, $text);
}

# USE LA_CONSTANTS, ONLY: wp=>dp, zero=>dzero, ... as named constants. They are emitted after the declarations.
sub constants {
    my ($list) = @_;
    for (split /\s*,\s*/, $list) {
        my ($name, $meaning) = /^\s*(\w+)(?:\s*=>\s*(\w+))?\s*$/ or die "USE LA_CONSTANTS: $_\n";
        if ($name eq 'WP') { $double = $meaning eq 'DP' ? 1 : 0; next }
        if ($name eq 'CZERO') {
            push @temporary, [$double ? 'COMPLEX*16' : 'COMPLEX', $name, $double ? '(0.0D+0,0.0D+0)' : '(0.0E+0,0.0E+0)'];
            next;
        }
        my $value = $CONSTANT{$name} or die "USE LA_CONSTANTS: $name\n";
        push @temporary, [$double ? 'DOUBLE PRECISION' : 'REAL', $name, $value->[$double]];
    }
    return ();
}

sub declaration {
    my ($number, $text) = @_;
    $text =~ s/\bCHARACTER\s*\(\s*(?:LEN\s*=\s*)?(\d+|\*)\s*\)/CHARACTER*($1)/g;
    $text =~ s/\bREAL\s*\(\s*WP\s*\)/$double ? 'DOUBLE PRECISION' : 'REAL'/ge;
    $text =~ s/\bCOMPLEX\s*\(\s*WP\s*\)/$double ? 'COMPLEX*16' : 'COMPLEX'/ge;
    $text = inquiries($text);
    my @out;
    if ($text =~ /^([^:']*?)((?:,\s*(?:INTENT\s*\(\s*\w+\s*\)|EXTERNAL|PARAMETER|DIMENSION\s*$ARGS)\s*)*)\s*::\s*(.*)$/) {
        my ($head, $attributes, $names) = ($1, $2, $4);
        if ($attributes =~ /PARAMETER/) {
            my $bare = join ', ', map { /^\s*(\w+)/ } split_list($names);
            @out = ([$number, "$head $bare"], ['', "PARAMETER ( $names )"]);
        }
        else {
            @out = ([$number, "$head $names"]);
            push @out, ['', "EXTERNAL $names"] if $attributes =~ /EXTERNAL/;
        }
    }
    else {
        @out = ([$number, $text]);
    }
    # The one array of LAPACK that is as large as its arguments say: room for the norm of a block, and no block is wider
    # than ILAENV's 240.
    $_->[1] =~ s/\bWNRM\s*\(\s*MAX\s*$ARGS\s*\)/WNRM( 1024 )/ for @out;
    remember($_->[1]) for @out;
    return @out;
}

# What later statements want to know of variables: their type and shape.
sub remember {
    my ($text) = @_;
    my ($kind, $names) = $text =~ /^($TYPE)(?:\s*\*\s*(?:\d+|\(\s*[\d*]+\s*\)))?\s+(.*)$/ or return;
    return if $names =~ /^FUNCTION\b/;
    for (split_list($names)) {
        my ($name, $bounds) = /^\s*(\w+)\s*(?:\((.*)\))?/ or next;
        $kind =~ s/\s+/ /g;
        $type{$name} = $kind;
        $shape{$name} = [map { s/^\s+|\s+$//gr } split_list($bounds)] if defined $bounds;
    }
}

sub split_list {
    my ($text) = @_;
    my ($depth, @parts) = (0, '');
    for my $character (split //, $text) {
        $depth += $character eq '(' ? 1 : $character eq ')' ? -1 : 0;
        if ($character eq ',' && !$depth) { push @parts, '' } else { $parts[-1] .= $character }
    }
    return @parts;
}

sub inquiries {
    my ($text) = @_;
    $text =~ s/\b$INQUIRIES\s*\(\s*[A-Z0-9.+_]+\s*\)/$INQUIRY{$1}[$double]/g;
    return $text;
}

sub expression {
    my ($text) = @_;
    $text =~ s{(==|/=|<=|>=|<|>)}{$RELATION{$1}}g;
    $text =~ s/\bELSEIF\b/ELSE IF/;
    $text =~ s/\bLA_ISNAN\s*$ARGS/( $1 .NE. $1 )/g;
    if ($complex) {
        $text =~ s/\bAIMAG\s*\(/DIMAG(/g;
        $text =~ s/\bCONJG\s*\(/DCONJG(/g;
        $text =~ s/\bREAL\s*\(/DBLE(/g;
    }
    $text = inquiries($text);
    my $letter = $double ? 'D' : 'S';
    $text =~ s/\bEXPONENT\s*\(/help("F77EX$letter", 'INTEGER') . '('/ge;
    $text =~ s/\bCEILING\s*$ARGS/help('F77CEI', 'INTEGER') . "( DBLE$1 )"/ge;
    $text =~ s/\bMAXLOC\s*\(\s*(\w+)\s*$ARGS\s*,\s*1\s*\)/over_section('F77ML', 'INTEGER', $1, $2)/ge;
    $text =~ s/\bMAXVAL\s*\(\s*(\w+)\s*$ARGS\s*\)/over_section('F77MV', undef, $1, $2)/ge;
    return $text;
}

sub help { my ($name, $kind) = @_; $helper{$name} = $kind; return $name }

# FUNCTION( X( lo:hi ) ) as HELPER( X( lo ), length ).
sub over_section {
    my ($function, $kind, $array, $bounds) = @_;
    my ($low, $high) = $bounds =~ /^\(\s*(.+?)\s*:\s*(.+?)\s*\)$/ or die "$array$bounds is no section\n";
    my $wide = ($type{$array} // '') eq 'DOUBLE PRECISION';
    $kind //= $wide ? 'DOUBLE PRECISION' : 'REAL';
    return help($function . ($wide ? 'D' : 'S'), $kind) . "( $array( $low ), ($high)-($low)+1 )";
}

# ---- array sections --------------------------------------------------------------------------------------------------

# An assignment with sections as loops over their elements.
sub sections {
    my ($number, $text) = @_;
    my ($condition, $target, $bounds, $value);
    if ($text =~ /^(IF\s*$ARGS)\s*(\w+)\s*$ARGS\s*=\s*(.*)$/) { ($condition, $target, $bounds, $value) = ($1, $3, $4, $5) }
    elsif ($text =~ /^(\w+)\s*$ARGS\s*=\s*(.*)$/) { ($target, $bounds, $value) = ($1, $2, $3) }
    elsif ($text =~ /^(\w+)\s*=\s*(.*)$/ && $shape{$1} && has_section($2)) {
        ($target, $value) = ($1, $2);
        $bounds = '( ' . join(', ', map { "1:$_" } @{ $shape{$target} }) . ' )';
    }
    return [$number, $text] if !defined $target || $target eq 'DO' || ($type{$target} // '') =~ /CHARACTER/ || !has_section("$target$bounds");
    my @ranges = map { top_colon($_) } split_list(substr $bounds, 1, -1);
    my @loops = map { my ($low, $high) = @$_; [++$loop_variables, $low, $high] } @ranges;
    my @out;
    if ($condition) { push @out, [$number, "$condition THEN"]; $number = '' }
    # Elements of the target that the value reads: Fortran 90 reads them all before it writes any.
    my $count = 0;
    $value =~ s{\b$target\s*$ARGS}{
        my $whole = "$target$1";
        if (has_section($whole)) { $whole }
        else {
            my $name = "F77T" . ++$count;
            push @temporary, [$type{$target}, $name] unless grep { $_->[1] eq $name } @temporary;
            push @out, [$number, "$name = $whole"]; $number = '';
            $name
        }
    }ge;
    my @ends = map { ++$label } @loops;
    for my $i (reverse 0 .. $#loops) {
        my ($index, $low, $high) = @{ $loops[$i] };
        push @out, [$number, "DO $ends[$i] F77I$index = 1, ($high)-($low)+1"];
        $number = '';
        $helper{"F77I$index"} = 'VARIABLE';
    }
    my @indices = map { $_->[0] } @loops;
    push @out, ['', elements("$target$bounds", @indices) . ' = ' . elements($value, @indices)];
    push @out, ["$_", 'CONTINUE'] for @ends;
    push @out, ['', 'END IF'] if $condition;
    return @out;
}

sub has_section {
    my ($text) = @_;
    $text =~ s/'[^']*'//g;
    while ($text =~ /\b(\w+)\s*$ARGS/g) {
        my ($name, $inside) = ($1, substr $2, 1, -1);
        next if ($type{$name} // '') =~ /CHARACTER/;
        return 1 if grep { top_colon($_) } split_list($inside);
        return 1 if has_section($inside);
    }
    return 0;
}

# [low, high] of one subscript, or nothing if it is no range.
sub top_colon {
    my ($subscript) = @_;
    my $depth = 0;
    for my $i (0 .. length($subscript) - 1) {
        my $character = substr $subscript, $i, 1;
        $depth += $character eq '(' ? 1 : $character eq ')' ? -1 : 0;
        return [map { s/^\s+|\s+$//gr } substr($subscript, 0, $i), substr($subscript, $i + 1)] if $character eq ':' && !$depth;
    }
    return;
}

# An expression with its ranges replaced by the element of each loop.
sub elements {
    my ($text, @indices) = @_;
    $text =~ s{\b(\w+)\s*$ARGS}{
        my ($name, $inside) = ($1, substr $2, 1, -1);
        my ($k, $any, @subscripts) = (0, 0);
        for (split_list($inside)) {
            my $range = top_colon($_);
            if ($range) { $any = 1; push @subscripts, "($range->[0])+F77I$indices[$k++]-1" } else { push @subscripts, $_ }
        }
        $any ? "$name(" . join(',', @subscripts) . ')' : "$name(" . elements($inside, @indices) . ')';
    }ge;
    return $text;
}

# ---- loops -----------------------------------------------------------------------------------------------------------

# EXIT and CYCLE as GO TO.
sub leave_loops {
    my (@out, @open);
    for (@_) {
        my ($number, $text) = @$_;
        if ($text =~ /^(IF\s*$ARGS\s*)?(EXIT|CYCLE)$/) {
            my ($condition, $verb) = ($1 // '', $3);
            die "$verb outside of a loop\n" unless @open;
            my $target = $open[-1]{$verb} //= ++$label;
            push @out, [$number, "${condition}GO TO $target"];
            next;
        }
        if ($text =~ /^DO\s+(\d+)\b/) { push @open, { end => $1 } }
        elsif ($text =~ /^DO(\s+WHILE\b|\s+\w+\s*=|$)/) { push @open, {}; $text = 'DO WHILE( .TRUE. )' if $text eq 'DO' }
        my @closed;
        if ($text =~ /^END\s*DO$/) { push @closed, pop @open }
        elsif (length $number) { push @closed, pop @open while @open && ($open[-1]{end} // '') eq $number }
        # What is behind the last statement of the body comes next; what is behind the loop comes after that.
        if (grep { $_->{CYCLE} } @closed) {
            if ($number && $text ne 'CONTINUE') { die "CYCLE in a loop that ends in '$text'\n" }
            push @out, [$_, 'CONTINUE'] for map { $_->{CYCLE} // () } @closed;
        }
        push @out, [$number, $text];
        push @out, [$_, 'CONTINUE'] for map { $_->{EXIT} // () } @closed;
    }
    return @out;
}

# ---- writing ---------------------------------------------------------------------------------------------------------

sub declarations {
    my @out;
    for (sort keys %helper) {
        my $kind = $helper{$_};
        push @out, ['', ($kind eq 'VARIABLE' ? 'INTEGER' : $kind) . " $_"];
        push @out, ['', "EXTERNAL $_"] unless $kind eq 'VARIABLE';
    }
    for (@temporary) {
        my ($kind, $name, $value) = @$_;
        push @out, ['', "$kind $name"];
        push @out, ['', "PARAMETER ( $name = $value )"] if defined $value;
    }
    return @out;
}

sub write_fixed {
    my ($file, @statements) = @_;
    open my $out, '>', $file or die "$file: $!\n";
    for (@statements) {
        my ($number, $text) = @$_;
        printf $out "%-5s %s\n", $number, substr $text, 0, 66;
        for (my $at = 66; $at < length $text; $at += 66) { print $out '     $' . substr($text, $at, 66) . "\n" }
    }
    close $out or die "$file: $!\n";
}
