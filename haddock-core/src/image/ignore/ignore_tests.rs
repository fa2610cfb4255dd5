use super::*;

fn ignore(text: &str) -> Ignore {
    Ignore::parse(".dockerignore", text).expect(text)
}

/// A file, what it leaves out, and what it keeps.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn assert_all(cases: &[Case<'_>]) {
    for (text, excluded, kept) in cases {
        let ignore = ignore(text);
        let is = |path: &&&str| ignore.excludes(path);
        assert_eq!(excluded.iter().filter(is).collect::<Vec<_>>(), excluded.iter().collect::<Vec<_>>(), "{text:?}");
        assert_eq!(kept.iter().filter(is).collect::<Vec<_>>(), Vec::<&&str>::new(), "{text:?}");
    }
}

#[test]
fn names_and_folders() {
    assert_all(&[
        ("", &[], &["a", "any/path/there"]),
        ("abc", &["abc", "abc/d", "abc/d/e"], &["abcd", "x/abc", "ABC"]),
        ("abc.def", &["abc.def"], &["abcdef", "abcZdef"]),
        ("docs/a.md", &["docs/a.md"], &["docs", "docs/b.md", "a.md"]),
        ("a(b)c/def", &["a(b)c/def"], &["a(b)c/xyz", "abc/def"]),
        ("a.|)$(}+{bc", &["a.|)$(}+{bc"], &["a", "bc"]),
        ("a|b", &["a|b"], &["a", "b"]),
        ("a{2}", &["a{2}"], &["aa"]),
        ("a b", &["a b", "a b/c"], &["a", "b"]),
        ("é", &["é"], &["e"]),
        (".", &[], &["a", ".a"]),
        ("/", &[], &["a", "a/b"]),
        ("..", &[], &["a", "..a"]),
    ]);
}

#[test]
fn one_star_and_question_mark() {
    assert_all(&[
        ("*", &["abc", ".foo", "ab/c"], &[]),
        ("*c", &["abc", "c/d"], &["cb", "a/c"]),
        ("a*", &["a", "abc", "ab/c"], &["b/a"]),
        ("*x", &["xxx"], &["xxy"]),
        ("*.go", &["fileutils.go"], &["fileutils.rs", "src/fileutils.go"]),
        ("a*/b", &["abc/b", "a/b"], &["a/c/b", "abc"]),
        ("a*b*c*d*e*/f", &["axbxcxdxe/f", "axbxcxdxexxx/f"], &["axbxcxdxe/xxx/f", "axbxcxdxexxx/fff"]),
        ("a*b?c*x", &["abxbbxdbxebxczzx"], &["abxbbxdbxebxczzy"]),
        ("a*b", &["ab", "axxb"], &["a/b"]),
        ("a?b", &["a☺b", "axb"], &["a/b", "ab", "axxb"]),
        ("a???b", &["axyzb"], &["a☺b"]),
        ("abc?def", &["abcZdef"], &["abcdef"]),
        (".*", &[".foo", ".foo/bar"], &["foo", "bar/.foo"]),
        ("a/*.txt", &["a/file.txt"], &["a/dir/file.txt", "a"]),
        ("dist/*.whl", &["dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"], &["dist/proxy.tar"]),
        ("a+*", &["a+b"], &["aab"]),
        ("a(*)", &["a(b)"], &["ab"]),
        ("*$", &["a$"], &["a"]),
    ]);
}

#[test]
fn two_stars() {
    assert_all(&[
        ("**", &["file", "dir/file"], &[]),
        ("**/", &["file", "dir/file"], &[]),
        ("**/**", &["file", "dir/file"], &[]),
        ("***", &["file", "dir/file"], &[]),
        ("dir/**", &["dir/file", "dir/dir2/file"], &["dir", "file"]),
        ("**/dir", &["dir", "dir/file", "a/dir/b"], &["a/dirb", "xdir"]),
        ("**file", &["file", "dir/file", "dir/dir/xfile"], &["filed"]),
        ("**/.foo", &[".foo", "a/.foo"], &["bar.foo"]),
        ("**/foo/bar", &["foo/bar", "dir/foo/bar", "dir/dir2/foo/bar"], &["foo", "bar"]),
        ("**/a|b", &["a|b", "x/a|b"], &["a", "b"]),
        ("**/dir2/*", &["dir/dir2/file", "dir2/file", "dir/dir2/a/b"], &["dir/dir2"]),
        ("**/dir2/**", &["dir/dir2/dir3/file"], &["dir/dir2", "dir/file"]),
        ("**/file*", &["dir/dir/file", "dir/dir/file.txt"], &["dir/afile"]),
        ("**/file*txt", &["dir/dir/file.txt"], &["dir/file.txt2"]),
        ("**/file*.txt*", &["dir/dir/file.txt", "file1.txt2"], &["file"]),
        ("**/*.txt", &["file.txt", "a/b/file.txt"], &["file.txt2"]),
        ("**/**/*.txt", &["file.txt", "dir/dir/file.txt"], &["dir/file.txt2"]),
        ("a**/*.txt", &["a/file.txt", "a/dir/dir/file.txt", "ab.txt"], &["b/file.txt"]),
        ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb/c"]),
        ("a**b", &["ab", "a/x/b", "axx/b"], &["a/xb"]),
        ("a/*.txt**", &["a/file.txt", "a/file.txt2", "a/file.txt/x"], &["a/file"]),
        ("abc/**", &["abc/def", "abc/def/ghi"], &["abc"]),
        ("a+**", &["a+b", "a+/b"], &["aab"]),
    ]);
}

#[test]
fn sets() {
    assert_all(&[
        ("a[b-d]e", &["ace"], &["ae", "aae"]),
        ("a[^b-d]e", &["aze"], &["ace"]),
        ("ab[c]", &["abc"], &["abd"]),
        ("ab[e-g]", &["abe"], &["abc"]),
        ("a[^a]b", &["a☺b"], &["aab"]),
        ("[a-ζ]*", &["α", "b/c"], &["A"]),
        ("[\\]a]", &["]", "a"], &["b"]),
        ("[\\-]", &["-"], &["\\"]),
        ("[x\\-]", &["x", "-"], &["z"]),
        ("[\\-x]", &["x", "-"], &["a"]),
        ("[a.]b", &["ab", ".b"], &["xb"]),
        ("[!a]b", &["!b", "ab"], &["xb"]),
        ("[[]a", &["[a"], &["a"]),
        ("[a&&b]c", &["&c", "ac"], &["cc"]),
        ("[[:digit:]]x", &["1x"], &["dx", ":x"]),
        ("[[:^digit:]]x", &["dx"], &["1x"]),
        ("[\\d]x", &["1x"], &["dx"]),
        ("a[^b]c", &["a/c"], &["abc"]),
        // Docker escapes nothing within a set: this is `[[^/]*]` with a star behind the set.
        ("a[*]", &["a]", "a[^]"], &["a*", "ab"]),
        ("a[?]", &["a[]", "a^]"], &["a?", "ab"]),
    ]);
}

#[test]
fn escapes_and_operators() {
    assert_all(&[
        ("a\\*b", &["a*b"], &["ab", "axb"]),
        ("a\\\\", &["a\\"], &["a"]),
        ("\\#a", &["#a"], &["a"]),
        ("\\!a", &["!a"], &["a"]),
        ("a\\ b", &["a b"], &["ab"]),
        ("\\[a\\]", &["[a]"], &["a"]),
        ("a\\d", &["a1"], &["ad"]),
        ("a\\D", &["ad"], &["a1", "a"]),
        ("a\\sb", &["a b", "a\tb"], &["asb", "a\u{b}b"]),
        ("a\\Sb", &["asb", "a\u{b}b", "aéb"], &["a b"]),
        ("\\x41\\x{42}", &["AB"], &["x41"]),
        ("\\101\\60", &["A0"], &["101"]),
        ("\\Qa?*\\E*", &["a[^/][^/]*", "a[^/][^/]*b"], &["ab"]),
        ("a\\b", &["a"], &["ab", "a\\b"]),
        ("a{2}?", &["aax"], &["ax", "a{2}x"]),
        ("a{b}?", &["a{b}x"], &["abx"]),
        ("a{,2}?", &["a{,2}x"], &["aax"]),
        ("a{02}?", &["a{02}x"], &["aax"]),
        ("a{1,}[b]", &["ab", "aaab"], &["b"]),
        ("a|b?", &["ab", "a", "bb", "x/bb"], &["b", "xb"]),
        ("^a?", &["ab"], &["^ab"]),
        ("a^b?", &[], &["a^bx", "abx"]),
    ]);
}

#[test]
fn lines_are_cleaned() {
    assert_all(&[
        ("\u{feff}a\nb", &["a", "b"], &["\u{feff}a"]),
        ("# a\n#b\n", &[], &["a", "b", "#b", "# a"]),
        (" #a", &["#a"], &["a"]),
        ("\n \t\n a \t\r\nb\r\n", &["a", "b"], &["c"]),
        ("\u{a0}a\u{2003}", &["a"], &["b"]),
        ("/a\n/b/c\n", &["a", "b/c"], &["b"]),
        ("//a", &["a"], &[]),
        ("a/", &["a", "a/b"], &[]),
        ("./a\nb//c\nd/../e\nf/.", &["a", "b/c", "e", "f"], &["d"]),
        ("../a\n/../b", &["b"], &["a"]),
        ("*\n!a\n! b\n!/c\n!./d", &["x"], &["a", "b", "c", "d"]),
        ("*\n!!a", &["a", "!b"], &["!a"]),
        ("a\nx/../ /\nb", &["a", "b"], &["x"]),
        // Cleaned once more with its `!`, this is the pattern `a`.
        ("*\n!../../a", &["a"], &[]),
    ]);
}

#[test]
fn the_last_pattern_that_matches_decides() {
    assert_all(&[
        ("*.go\n!fileutils.go", &["a.go"], &["fileutils.go"]),
        ("!fileutils.go\n*.go", &["fileutils.go"], &[]),
        ("docs\n!docs/README.md", &["docs/a.md"], &["docs/README.md"]),
        ("docs/\n!docs/README.md", &["docs/a.md"], &["docs/README.md"]),
        ("docs/*\n!docs/README.md", &["docs/a.md"], &["docs", "docs/README.md"]),
        ("docs\n!docs", &[], &["docs", "docs/a"]),
        ("docs\n!docs\ndocs", &["docs", "docs/a"], &[]),
        ("**\n!util/docker/web", &["util", "util/docker"], &["util/docker/web/foo"]),
        ("**\n!util/docker/web\nutil/docker/web/foo", &["util/docker/web/foo"], &["util/docker/web/bar"]),
        ("**\n!dist/*.whl", &["dist/a.tar"], &["dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"]),
        ("*\n!a/*/c", &["b", "a/x", "a/x/c"], &[]),
        ("a/*\n!a/*/c", &["a/x", "a/x/c"], &["a"]),
        ("**/*.md\n!README.md", &["a/README.md"], &["README.md"]),
        ("*\n!**/keep", &["a/keep", "b"], &["keep"]),
        ("a\n!**/keep\n!a/b/x", &["a/c/keep", "a/b/c"], &["a/keep", "a/b/keep", "a/b/x"]),
        // The third is not compared with `a`, which is left out already. So nobody knows that it would match.
        ("a\n!a/b\na*", &[], &["a/b"]),
    ]);
}

#[test]
fn a_folder_that_is_left_out_is_entered_for_what_an_inverted_pattern_begins_with() {
    for (text, folder, is_entered) in [
        ("a", "a", false),
        ("a\n!b", "a", false),
        ("a\n!a", "a", true),
        ("a\n!a/b", "a", true),
        ("a\n!ab", "a", false),
        ("!a/b\na", "a", true),
        ("a\n!a*", "a", true),
        ("a\n!*/b", "a", false),
        ("a\n!**/b", "a", false),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "a/c", false),
        ("b", "a", true),
    ] {
        let ignore = ignore(text);
        let found = folder.split('/').fold(ignore.root(), |at, name| at.enter(name));
        assert_eq!((found.path(), found.may_descend()), (folder, is_entered), "{text:?}");
    }
    assert!(ignore("*").root().may_descend());
}

#[test]
fn a_path_means_the_same_however_it_is_written() {
    let ignore = ignore("a/b");
    for path in ["a/b", "./a/b", "a//b", "a/b/", "/a/./b"] {
        assert!(ignore.excludes(path), "{path}");
    }
    assert!(!Ignore::none().excludes("a"));
    assert!(!self::ignore("**").excludes("."));
}

#[test]
fn what_docker_refuses_is_refused_with_the_place() {
    let mut told = String::new();
    for pattern in [
        "!",
        "! ",
        "!/",
        "[",
        "a[",
        "[^",
        "[^bc",
        "[]a]",
        "[-]",
        "[x-]",
        "[-x]",
        "[a-b-c]",
        "\\",
        "a\\",
        "[a\\",
        "[Local-Only]/",
        "[z-a]",
        "[[:nope:]]",
        "a\\o",
        "a\\é",
        "\\8?",
        "\\1",
        "\\xg1",
        "\\x{110000}",
        "[a-\\d]",
        "\\pL",
        "*{2}",
        "a{2}{3}?",
        "a|{2}?",
        "a{1001}?",
        "a{3,2}?",
        "a{99999999999}?",
    ] {
        match Ignore::parse("web/.dockerignore", &format!("# one\nb\n  {pattern}\n")) {
            Ok(_) => panic!("accepted: {pattern}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidValue);
                let place = error.place().expect("a place");
                assert_eq!((place.file.as_str(), place.line, place.column), ("web/.dockerignore", 3, 3));
                told += &format!("{}\n    hint: {}\n", error.message(), error.hint().expect("a hint"));
            }
        }
    }
    insta::assert_snapshot!(told);
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(text in r"([*?/!\[\]\\{}|^ab\-.,0-9dQEx:\n ]{0,12})", path in "[ab0-9/*{}|^.]{0,8}") {
        if let Ok(ignore) = Ignore::parse("", &text) {
            let _ = ignore.excludes(&path);
        }
    }

    #[test]
    fn a_pattern_is_too_large_or_not_for_reasons_of_its_own(text in r"([a-c*?/.{}|\[\]^]{0,16})") {
        if let Err(error) = Ignore::parse("", &text) {
            assert!(!error.message().contains("too large"), "{error}");
        }
    }
}
