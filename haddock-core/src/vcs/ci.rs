//! The branch, as CI systems say it.

/// Says which branch is meant, on every system and without any.
const OURS: &str = "HADDOCK_BRANCH";

struct System {
    /// The variables by which the system is known. One is enough.
    marks: &'static [&'static str],
    /// What the mark's value must be; `None`: anything.
    is: Option<&'static str>,
    /// Where it says the branch: the source of a pull request first.
    branches: &'static [&'static str],
}

const fn system(marks: &'static [&'static str], branches: &'static [&'static str]) -> System {
    System { marks, is: None, branches }
}

const SYSTEMS: &[System] = &[
    system(&["JENKINS_URL", "JENKINS_HOME"], &["CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"]),
    system(
        &["GITLAB_CI"],
        &["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_TAG", "CI_COMMIT_REF_NAME"],
    ),
    system(&["GITHUB_ACTIONS"], &["GITHUB_HEAD_REF", "GITHUB_REF_NAME"]),
    system(&["bamboo_buildNumber"], &["bamboo_repository_pr_sourceBranch", "bamboo_planRepository_branchName"]),
    system(&["BITBUCKET_BUILD_NUMBER"], &["BITBUCKET_BRANCH", "BITBUCKET_TAG"]),
    // Not `BUILD_SOURCEBRANCHNAME`: of `feature/login` it is `login`.
    system(&["TF_BUILD"], &["SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"]),
    system(&["CIRCLECI"], &["CIRCLE_BRANCH", "CIRCLE_TAG"]),
    system(&["TRAVIS"], &["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"]),
    System {
        marks: &["CI"],
        is: Some("woodpecker"),
        branches: &["CI_COMMIT_SOURCE_BRANCH", "CI_COMMIT_TAG", "CI_COMMIT_BRANCH"],
    },
    system(&["DRONE"], &["DRONE_SOURCE_BRANCH", "DRONE_TAG", "DRONE_BRANCH"]),
    system(&["BUILDKITE"], &["BUILDKITE_BRANCH"]),
    system(&["SEMAPHORE"], &["SEMAPHORE_GIT_PR_BRANCH", "SEMAPHORE_GIT_BRANCH"]),
];

/// What the user says of the branch. It wins over what is checked out.
pub(super) fn named_branch(variables: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    set(variables, OURS)
}

/// What a CI system says of the branch. It counts if no branch is checked out.
pub(super) fn branch(variables: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let runs = |system: &&System| {
        let found = |mark: &&str| set(variables, mark).is_some_and(|value| system.is.is_none_or(|is| value == is));
        system.marks.iter().any(found)
    };
    let of = |system: &System| system.branches.iter().find_map(|name| short(&set(variables, name)?));
    SYSTEMS.iter().filter(runs).find_map(of)
}

fn set(variables: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    Some(variables(name)?.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The branch without what stands before it in a full name. Jenkins says `origin/main`, and `detached` for no branch.
fn short(name: &str) -> Option<String> {
    const BEFORE: &[&str] = &["refs/heads/", "refs/tags/", "refs/remotes/origin/", "refs/", "origin/"];
    let short = BEFORE.iter().find_map(|before| name.strip_prefix(before)).unwrap_or(name);
    (short != "detached").then(|| short.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn said(variables: &[(&str, &str)]) -> Option<String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        branch(&|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn every_system_says_its_branch() {
        for system in SYSTEMS {
            for mark in system.marks {
                for (position, name) in system.branches.iter().enumerate() {
                    let mut variables = vec![(*mark, system.is.unwrap_or("true"))];
                    variables.extend(system.branches[position + 1..].iter().map(|name| (*name, "later")));
                    variables.push((name, "feature/login"));
                    assert_eq!(said(&variables).as_deref(), Some("feature/login"), "{variables:?}");
                    assert_eq!(said(&variables[1..]), None, "without its mark");
                    variables[0].1 = "";
                    assert_eq!(said(&variables), None, "with an empty mark");
                }
            }
        }
    }

    #[test]
    fn full_names_are_shortened() {
        for (name, branch) in [
            ("origin/feature/login", Some("feature/login")),
            ("refs/remotes/origin/main", Some("main")),
            ("refs/heads/main", Some("main")),
            ("refs/tags/v1.4", Some("v1.4")),
            ("refs/pull/7/merge", Some("pull/7/merge")),
            ("  main\n", Some("main")),
            ("detached", None),
            (" ", None),
        ] {
            assert_eq!(said(&[("JENKINS_URL", "x"), ("GIT_BRANCH", name)]).as_deref(), branch, "{name:?}");
        }
    }

    #[test]
    fn variables_of_another_system_do_not_count() {
        assert_eq!(said(&[("GITLAB_CI", "true"), ("GITHUB_REF_NAME", "main")]), None);
        assert_eq!(said(&[("CI", "true"), ("CI_COMMIT_BRANCH", "main")]), None, "this is not Woodpecker");
        let both = [("JENKINS_HOME", "/var"), ("GITHUB_ACTIONS", "true"), ("GITHUB_REF_NAME", "main")];
        assert_eq!(said(&both).as_deref(), Some("main"), "an agent in an action");
    }
}
