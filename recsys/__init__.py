"""A two-tower recommender: data, training on causal windows, evaluation, retrieval.

Names are loaded on first use, so that `import recsys` costs nothing.

Example:
    import recsys

    data = recsys.load_dataset("demo")  # or a path, a DataFrame, (users, items, times)
    parts = recsys.split(data)
    fit = recsys.Fit(parts.tuning, recsys.TrainConfig(dim=16, epochs=1))
    for epoch in fit:
        print(epoch.epoch, epoch.metrics.recall_at_10)
    recsys.save("model", fit.model, parts.train)
    recommender = recsys.load("model").recommender()
    recommender.recommend("u0001", k=5, exclude=["p0002"])
    recommender.recommend(history=["p0003", "p0007"], only=["p0001", "p0002", "p0004"])
    recommender.similar_items("p0001")
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
