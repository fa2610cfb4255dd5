use super::*;

#[test]
fn patterns_become_the_expressions_of_docker() {
    for (pattern, kind, expression) in [
        ("abc.def", Kind::Exact, r"^abc\.def$"),
        ("a(b)c/def", Kind::Exact, r"^a\(b\)c/def$"),
        ("a.|)$(}+{bc", Kind::Exact, r"^a\.|\)\$\(}\+{bc$"),
        ("dir/**", Kind::Prefix, "^dir/.*$"),
        ("**", Kind::Suffix, "^.*$"),
        ("**/dir", Kind::Suffix, "^(.*/)?dir$"),
        ("**file", Kind::Suffix, "^(.*/)?file$"),
        ("**/foo/bar", Kind::Suffix, "^(.*/)?foo/bar$"),
        ("*", Kind::Expression, "^[^/]*$"),
        ("file*", Kind::Expression, "^file[^/]*$"),
        ("*file", Kind::Expression, "^[^/]*file$"),
        ("a*/b", Kind::Expression, "^a[^/]*/b$"),
        ("**/**", Kind::Expression, "^(.*/)?.*$"),
        ("**/dir2/*", Kind::Expression, "^(.*/)?dir2/[^/]*$"),
        ("**/dir2/**", Kind::Expression, "^(.*/)?dir2/.*$"),
        ("**/file*txt", Kind::Expression, "^(.*/)?file[^/]*txt$"),
        ("**/**/*.txt", Kind::Expression, r"^(.*/)?(.*/)?[^/]*\.txt$"),
        ("a[b-d]e", Kind::Expression, "^a[b-d]e$"),
        (".*", Kind::Expression, r"^\.[^/]*$"),
        ("abc?def", Kind::Expression, "^abc[^/]def$"),
        (r"a\*b", Kind::Expression, r"^a\*b$"),
        ("a[*]", Kind::Expression, "^a[[^/]*]$"),
        ("***", Kind::Expression, "^(.*/)?[^/]*$"),
    ] {
        assert_eq!(translate(pattern), (kind, expression.to_owned()), "{pattern}");
    }
}
