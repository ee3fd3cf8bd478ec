"""A compiler small enough to read: its language has one word, its programs run on bare Linux.

It is in Perl, which a Debian image has, and makes a program that needs neither Perl nor any other
file: an example for a builder stage.  It supports the lab's processors, amd64 and arm64.
"""

from pathlib import Path

COMPILER = r"""#!/usr/bin/perl
# Compiles `say TEXT` lines on stdin to a Linux program on stdout (its format: elf(5)).
use strict;
my $text = join "", map { /^say (.*)/s ? $1 : () } <STDIN>;
my $length = length $text;
my $is_arm = `uname -m` =~ /^aarch64/;

# write(1, text, length); exit(0)
my $code = $is_arm
    ? pack("V*", 0xD2800020, 0x100000E1, 0xD2800002 | $length << 5, 0xD2800808, 0xD4000001,
                 0xD2800000, 0xD2800BA8, 0xD4000001)
    : pack("H* V H*", "B801000000BF01000000488D3510000000BA", $length, "0F05B83C00000031FF0F05");

my $size = 120 + length($code) + $length;
binmode STDOUT;
print pack("H32 v v V Q< Q< Q< V v v v v v v", "7F454C46020101", 2, $is_arm ? 183 : 62, 1,
           0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0),
      pack("V V Q< Q< Q< Q< Q< Q<", 1, 5, 0, 0x400000, 0x400000, $size, $size, 4096),
      $code, $text;
"""
PROGRAM = """say Hello from a program
say that needs no other file.
"""


def write_sources(folder: Path) -> None:
    """Write the compiler (`compile`) and a program for it (`hello.say`) into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "compile").write_text(COMPILER)
    (folder / "hello.say").write_text(PROGRAM)
