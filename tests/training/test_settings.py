from growsearch.training import Recipe, Steps, differences, plain


def test_a_recipe_becomes_plain_data_with_the_kind_of_its_parts():
    data = plain(Recipe(epochs=3, schedule=Steps(milestones=(1, 2), factor=0.1)))
    assert data["epochs"] == 3
    assert data["schedule"] == {"kind": "Steps", "milestones": [1, 2], "factor": 0.1}
    assert data["optimizer"]["kind"] == "SGD"


def test_differences_name_the_innermost_keys():
    before = {"a": 1, "recipe": {"epochs": 3, "optimizer": {"kind": "SGD", "momentum": 0.9}}}
    now = {"recipe": {"epochs": 3, "optimizer": {"kind": "AdamW"}}, "b": 2}
    assert list(differences(before, now)) == [
        ("a", 1, None),
        ("recipe.optimizer.kind", "SGD", "AdamW"),
        ("recipe.optimizer.momentum", 0.9, None),
        ("b", None, 2),
    ]
    assert list(differences(before, before)) == []
