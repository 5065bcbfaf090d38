import { Refusal } from '../refusal.ts'

export class GroupNotFound extends Refusal {
  constructor() {
    super(
      'There is no such group in the organization. Its identity provider may have deleted it; look at the list again.',
    )
  }
}
