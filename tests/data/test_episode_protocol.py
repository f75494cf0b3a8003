"""Drawing of evaluation episodes. The expected draws were made once by HSNet's public data classes on such lists."""

from vossegcli.data.episode_protocol import draw_episodes


def test_class_folders_as_the_public_code_draws_them() -> None:
    in_text_order = (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)
    queries = [(name, number - 1) for name in ("ant", "bee", "cow") for number in in_text_order]
    drawn = draw_episodes(dict.fromkeys(("ant", "bee", "cow"), 10), queries, count=30, shots=2, seed=0)
    assert [(e.name, e.query + 1, tuple(s + 1 for s in e.supports)) for e in drawn[::5]] == [
        ("ant", 1, (3, 4)), ("ant", 5, (6, 1)), ("bee", 1, (10, 6)),
        ("bee", 5, (1, 1)), ("cow", 1, (7, 3)), ("cow", 5, (6, 6)),
    ]  # fmt: skip


def test_pascal_as_the_public_code_draws_it() -> None:
    """Queries take their turns over and over; a support can come twice, but never be the query."""
    shown: dict[str, list[int]] = {}
    queries = []
    for image, name in enumerate("121321535441"):
        queries.append((name, len(shown.setdefault(name, []))))
        shown[name].append(image)
    drawn = draw_episodes({k: len(v) for k, v in shown.items()}, queries, count=14, shots=2, seed=3)
    images = [(shown[e.name][e.query], *(shown[e.name][s] for s in e.supports)) for e in drawn]
    assert images == [
        (0, 11, 2), (1, 4, 4), (2, 0, 0), (3, 7, 7), (4, 1, 1), (5, 2, 11), (6, 8, 8),
        (7, 3, 3), (8, 6, 6), (9, 10, 10), (10, 9, 9), (11, 5, 2), (0, 5, 5), (1, 4, 4),
    ]  # fmt: skip


def test_coco_as_the_public_code_draws_it() -> None:
    sizes = {str(k): 2 + k % 5 for k in range(1, 80, 4)}
    drawn = draw_episodes(sizes, None, count=8, shots=2, seed=5)
    assert [(int(e.name), e.query, *e.supports) for e in drawn] == [
        (9, 4, 0, 0), (49, 2, 0, 5), (13, 1, 3, 2), (77, 3, 2, 1),
        (5, 1, 0, 0), (21, 0, 1, 2), (53, 0, 3, 1), (5, 0, 1, 1),
    ]  # fmt: skip


def test_few_episodes_are_spread_over_the_queries() -> None:
    queries = [(name, k) for name in "abcd" for k in range(5)]
    drawn = draw_episodes(dict.fromkeys("abcd", 5), queries, count=4, shots=1, seed=0)
    assert [e.name for e in drawn] == list("abcd")
