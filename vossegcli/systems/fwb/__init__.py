"""FWB: few-shot segmentation with feature weighting and feature boosting.

Nguyen, Todorovic. ICCV 2019.
"""
